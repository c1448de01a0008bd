// A power cut: a file system as its disk was at a random moment of a save holds the last checkpoint that was said to be
// saved, or the next one.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "noregret/base/rng.h"
#include "tests/run/run_dir_support.h"
#include "tests/support/process.h"
#include "tests/support/soak.h"

namespace noregret {
namespace {

bool succeeds(const std::string& program, std::vector<std::string> args) {
  for (const char* folder : {"/sbin", "/usr/sbin", "/bin", "/usr/bin"}) {
    const fs::path path = fs::path(folder) / program;
    if (!fs::exists(path)) continue;
    args.insert(args.begin(), path.string());
    return run_process({.argv = args}).exit_code == 0;
  }
  return false;
}

// An ext4 image, mounted while it lives. noauto_da_alloc: renames do not sync by themselves; commit: only fsync does.
class Mounted {
 public:
  Mounted(const fs::path& image, const fs::path& folder) : folder_(folder) {
    fs::create_directories(folder);
    is_mounted_ =
        succeeds("mount", {"-t", "ext4", "-o", "loop,data=ordered,noauto_da_alloc,commit=300", image, folder});
  }
  ~Mounted() {
    for (int i = 0; is_mounted_ && umount(folder_.c_str()) != 0 && i < 100; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  Mounted(const Mounted&) = delete;
  Mounted& operator=(const Mounted&) = delete;
  bool is_mounted() const { return is_mounted_; }

 private:
  fs::path folder_;
  bool is_mounted_ = false;
};

std::string weights_of(int64_t step) { return std::string(60000, static_cast<char>('a' + step % 26)); }

// Saves step after step, and tells the step on the pipe once its save is done, until it is killed.
[[noreturn]] void save_for_ever(const RunDir::Setup& setup, int pipe_end) {
  try {
    RunDir run(setup);
    for (int64_t step = 1;; ++step) {
      run.log(step, metrics_of({{"loss/value", 1.0}}), Metrics());
      run.save(step, {{"weights", weights_of(step)}}, Json::object(), {.keep_last = 2});
      if (write(pipe_end, &step, sizeof step) != sizeof step) _exit(1);
    }
  } catch (const std::exception&) {
    _exit(2);
  }
}

class Saver {
 public:
  explicit Saver(const RunDir::Setup& setup) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    pid_ = fork();
    if (pid_ == 0) save_for_ever(setup, ends[1]);
    close(ends[1]);
    pipe_ = ends[0];
    EXPECT_EQ(read(pipe_, &last_, sizeof last_), static_cast<ssize_t>(sizeof last_));
    fcntl(pipe_, F_SETFL, O_NONBLOCK);
  }
  ~Saver() {
    kill(pid_, SIGCONT);
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    close(pipe_);
  }
  Saver(const Saver&) = delete;
  Saver& operator=(const Saver&) = delete;

  // Stopped, the disk does not change any more. Returns the last step that was said to be saved.
  int64_t stop() {
    kill(pid_, SIGSTOP);
    int status = 0;
    waitpid(pid_, &status, WUNTRACED);
    EXPECT_TRUE(WIFSTOPPED(status)) << "the saver ended with " << WEXITSTATUS(status);
    while (read(pipe_, &last_, sizeof last_) > 0) {
    }
    return last_;
  }
  void go_on() const { kill(pid_, SIGCONT); }

 private:
  pid_t pid_ = -1;
  int pipe_ = -1;
  int64_t last_ = 0;
};

// A copy of the image in which nothing changed meanwhile.
void take_snapshot(const fs::path& image, const fs::path& copy) {
  std::string before;
  for (std::string now = text_of(image); now != before; now = text_of(image)) before = now;
  std::ofstream(copy, std::ios::binary) << before;
}

void check_snapshot(const fs::path& image, const fs::path& folder, int64_t saved, int64_t round) {
  const Mounted mounted(image, folder);
  ASSERT_TRUE(mounted.is_mounted()) << "snapshot " << round;
  RunDir::Setup setup = run_setup(folder / "run");
  setup.resume = RunDir::Resume::kRequired;
  const RunDir run(setup);
  EXPECT_THAT(run.warnings(), testing::IsEmpty()) << "snapshot " << round;
  const Json state = parse_json(text_of(*run.checkpoint() / "state.json"), "state.json");
  const int64_t step = state["step"];
  EXPECT_TRUE(step == saved || step == saved + 1) << "snapshot " << round << ": " << step << " after " << saved;
  EXPECT_EQ(text_of(*run.checkpoint() / "weights"), weights_of(step)) << "snapshot " << round;
  EXPECT_EQ(json_lines(folder / "run/metrics.jsonl").size(), static_cast<size_t>(step)) << "snapshot " << round;
}

TEST(PowerCut, NoMomentOfASaveLosesTheRun) {
  const ScratchDir dir;
  const fs::path image = dir.path() / "disk";
  std::ofstream(image, std::ios::binary) << std::string(8 << 20, '\0');
  if (getuid() != 0) GTEST_SKIP() << "mounting an image wants root";
  if (!succeeds("mkfs.ext4", {"-q", "-F", image})) GTEST_SKIP() << "no mkfs.ext4";
  const Mounted disk(image, dir.path() / "mnt");
  if (!disk.is_mounted()) GTEST_SKIP() << "no loop device can be mounted here";
  const int64_t count = soak_count(40, 200);
  Rng rng(7);
  {
    Saver saver(run_setup(dir.path() / "mnt/run"));
    for (int64_t round = 0; round < count && !HasFailure(); ++round) {
      std::this_thread::sleep_for(std::chrono::microseconds(static_cast<int64_t>(rng.uniform(0.0F, 20000.0F))));
      const int64_t saved = saver.stop();
      take_snapshot(image, dir.path() / "snapshot");
      check_snapshot(dir.path() / "snapshot", dir.path() / "mnt2", saved, round);
      saver.go_on();
    }
  }
  std::cout << count << " snapshots\n";
}

}  // namespace
}  // namespace noregret
