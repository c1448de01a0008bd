// Every operation of a save fails in every way: the checkpoint before or the new one is there, whole.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>

#include "noregret/base/check.h"
#include "noregret/base/error.h"
#include "run/checkpoint_store.h"
#include "tests/run/io_faults.h"
#include "tests/run/run_dir_support.h"
#include "tests/support/soak.h"

namespace noregret {
namespace {

std::atomic<Fault> g_fault = Fault::kNone;
std::atomic<int64_t> g_at = 0;
std::atomic<int64_t> g_num_ops = 0;
std::atomic<bool> g_is_armed = false;
std::function<int(const std::string&)> g_folder_watcher;

enum class Op { kOpen, kWrite, kSync, kClose, kMake, kRemove, kRename, kCut };

bool is_file_or_folder(int fd) {
  struct stat status {};
  const int saved = errno;
  const bool is_one = syscall(SYS_fstat, fd, &status) == 0 && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode));
  errno = saved;
  return is_one;
}

int fault_error(Fault fault, Op op, bool is_now, bool is_past) {
  const bool can_be_interrupted = op == Op::kOpen || op == Op::kWrite || op == Op::kSync || op == Op::kClose;
  const bool needs_room = op == Op::kOpen || op == Op::kWrite || op == Op::kMake || op == Op::kRename;
  if (fault == Fault::kErrorOnce && is_now) return EIO;
  if (fault == Fault::kErrorForEver && is_past) return EIO;
  if (fault == Fault::kDiskFull && is_past && needs_room) return ENOSPC;
  if (fault == Fault::kInterrupted && is_now && can_be_interrupted) return EINTR;
  return 0;
}

// Counts an operation. Returns false, with errno set, where it is to fail; ends the process where it is to be killed.
bool passes(Op op) {
  if (!g_is_armed) return true;
  const int64_t number = ++g_num_ops;
  if (g_fault == Fault::kKill && number == g_at) kill(getpid(), SIGKILL);
  const int error = fault_error(g_fault, op, number == g_at, number >= g_at);
  if (error != 0) errno = error;
  return error == 0;
}

}  // namespace

void arm_fault(Fault fault, int64_t at) {
  g_fault = fault;
  g_at = at;
  g_num_ops = 0;
  g_is_armed = true;
}

int64_t disarm_fault() {
  g_is_armed = false;
  return g_num_ops;
}

void watch_new_folders(std::function<int(const std::string& path)> watcher) { g_folder_watcher = std::move(watcher); }

}  // namespace noregret

using noregret::Op;
using noregret::passes;

extern "C" {

int open(const char* path, int flags, ...) {
  va_list args;
  va_start(args, flags);
  const int mode = (flags & O_CREAT) != 0 ? va_arg(args, int) : 0;
  va_end(args);
  if ((flags & (O_WRONLY | O_RDWR | O_DIRECTORY)) != 0 && !passes(Op::kOpen)) return -1;
  return static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

ssize_t write(int fd, const void* data, size_t size) {
  if (noregret::g_is_armed && noregret::is_file_or_folder(fd)) {
    if (!passes(Op::kWrite)) return -1;
    const bool is_short = noregret::g_fault == noregret::Fault::kShortWrite && noregret::g_num_ops == noregret::g_at;
    if (is_short) size = (size + 1) / 2;
  }
  return syscall(SYS_write, fd, data, size);
}

int fsync(int fd) { return passes(Op::kSync) ? static_cast<int>(syscall(SYS_fsync, fd)) : -1; }

// A failed close has closed, as Linux does it.
int close(int fd) {
  const bool is_counted = noregret::g_is_armed && noregret::is_file_or_folder(fd);
  const int result = static_cast<int>(syscall(SYS_close, fd));
  return !is_counted || passes(Op::kClose) ? result : -1;
}

int rename(const char* from, const char* to) noexcept {
  return passes(Op::kRename) ? static_cast<int>(syscall(SYS_rename, from, to)) : -1;
}

int mkdir(const char* path, mode_t mode) noexcept {
  if (noregret::g_folder_watcher) {
    const int error = noregret::g_folder_watcher(path);
    if (error != 0) {
      errno = error;
      return -1;
    }
  }
  return passes(Op::kMake) ? static_cast<int>(syscall(SYS_mkdir, path, mode)) : -1;
}

int ftruncate(int fd, off_t size) noexcept {
  return passes(Op::kCut) ? static_cast<int>(syscall(SYS_ftruncate, fd, size)) : -1;
}

int unlink(const char* path) noexcept { return passes(Op::kRemove) ? static_cast<int>(syscall(SYS_unlink, path)) : -1; }

int unlinkat(int fd, const char* path, int flags) noexcept {
  return passes(Op::kRemove) ? static_cast<int>(syscall(SYS_unlinkat, fd, path, flags)) : -1;
}

int remove(const char* path) noexcept {
  if (!passes(Op::kRemove)) return -1;
  const int result = static_cast<int>(syscall(SYS_unlink, path));
  return result == 0 || errno != EISDIR ? result : static_cast<int>(syscall(SYS_rmdir, path));
}

}  // extern "C"

namespace noregret {
namespace {

constexpr int kSaved = 0;
constexpr int kFailed = 1;  // an IoError, and once the disk is well again the save succeeds
constexpr int kWrong = 2;

NamedBytes weights_of(int64_t step) { return {"weights", std::string(20000, static_cast<char>('a' + step))}; }

// Saves step 3 over a run of two steps, twice, as a run does that is stopped in its last evaluation; older ones go.
void save_step_3(RunDir& run) {
  for (int i = 0; i < 2; ++i) run.save(3, {weights_of(3), {"more", "m"}}, Json::object(), {.keep_last = 1});
}

int save_with_fault(const RunDir::Setup& setup, Fault fault, int64_t at, int64_t& num_ops) {
  RunDir run(setup);
  run.log(3, metrics_of({{"loss/value", 1.0}}), Metrics());
  arm_fault(fault, at);
  int outcome = kSaved;
  try {
    save_step_3(run);
  } catch (const IoError&) {
    outcome = kFailed;
  }
  num_ops = disarm_fault();
  if (outcome == kFailed) {
    NOREGRET_CHECK(find_checkpoint(setup.path).path, "after operation ", at);
    save_step_3(run);
  }
  return outcome;
}

class IoFaultMatrix : public testing::TestWithParam<std::pair<const char*, Fault>> {
 protected:
  IoFaultMatrix() {
    RunDir run(run_setup(dir_.path() / "before"));
    for (int64_t step = 1; step <= 2; ++step) {
      run.log(step, metrics_of({{"loss/value", 1.0}}), Metrics());
      run.save(step, {weights_of(step), {"more", "m"}}, Json::object(), {.keep_last = 2});
    }
  }

  RunDir::Setup fresh_copy() const {
    const fs::path path = dir_.path() / "run";
    fs::remove_all(path);
    fs::copy(dir_.path() / "before", path, fs::copy_options::recursive);
    return run_setup(path);
  }

  // The status of a process that saves with this fault.
  static int save_in_child(const RunDir::Setup& setup, Fault fault, int64_t at) {
    const pid_t child = fork();
    if (child == 0) {
      int64_t num_ops = 0;
      int outcome = kWrong;
      try {
        outcome = save_with_fault(setup, fault, at, num_ops);
      } catch (...) {
      }
      _exit(outcome);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return status;
  }

  ScratchDir dir_;
};

INSTANTIATE_TEST_SUITE_P(Of, IoFaultMatrix,
                         testing::Values(std::pair("SIGKILL", Fault::kKill), std::pair("EIO_once", Fault::kErrorOnce),
                                         std::pair("EIO_for_ever", Fault::kErrorForEver),
                                         std::pair("ENOSPC", Fault::kDiskFull),
                                         std::pair("ShortWrite", Fault::kShortWrite),
                                         std::pair("EINTR", Fault::kInterrupted)),
                         [](const auto& info) { return info.param.first; });

TEST_P(IoFaultMatrix, NoOperationOfASaveLosesTheRun) {
  const Fault fault = GetParam().second;
  int64_t num_ops = 0;
  ASSERT_EQ(save_with_fault(fresh_copy(), Fault::kNone, 0, num_ops), kSaved);
  ASSERT_GT(num_ops, 40) << "the operations of two saves are not seen";
  int64_t num_old = 0;
  const int64_t stride = soak_count(3, 1);
  for (int64_t at = 1; at <= num_ops + 1; at += stride) {
    RunDir::Setup setup = fresh_copy();
    const int status = save_in_child(setup, fault, at);
    const bool is_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    ASSERT_EQ(is_killed, fault == Fault::kKill && at <= num_ops) << "operation " << at;
    if (!is_killed) {
      ASSERT_NE(WEXITSTATUS(status), kWrong) << "operation " << at;
      const bool must_save = fault == Fault::kShortWrite || fault == Fault::kInterrupted || at > num_ops;
      ASSERT_TRUE(!must_save || WEXITSTATUS(status) == kSaved) << "operation " << at;
    }
    setup.resume = RunDir::Resume::kRequired;
    const RunDir run(setup);
    ASSERT_THAT(run.warnings(), testing::IsEmpty()) << "operation " << at;
    const Json state = parse_json(text_of(*run.checkpoint() / "state.json"), "state.json");
    const int64_t step = state["step"];
    ASSERT_TRUE(step == 2 || step == 3) << "operation " << at;
    ASSERT_TRUE(is_killed || step == 3) << "operation " << at;
    ASSERT_EQ(text_of(*run.checkpoint() / "weights"), weights_of(step).bytes) << "operation " << at;
    ASSERT_EQ(json_lines(setup.path / "metrics.jsonl").size(), static_cast<size_t>(step)) << "operation " << at;
    num_old += step == 2;
  }
  std::cout << num_ops / stride << " of " << num_ops << " operations, " << num_old << " times the checkpoint before\n";
}

}  // namespace
}  // namespace noregret
