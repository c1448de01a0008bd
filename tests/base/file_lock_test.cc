#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <memory>

#include "base_support.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

using testing::HasSubstr;

std::string lock_error(const fs::path& path) {
  return error_of<LockedError>([&] { FileLock lock(path); });
}

// A child process that holds the lock until it is told to end, or killed.
class Holder {
 public:
  explicit Holder(const fs::path& path) {
    int ready[2];
    if (pipe2(ready, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    pid_ = fork();
    if (pid_ == 0) {
      const FileLock lock(path);
      [[maybe_unused]] const ssize_t told = write(ready[1], "x", 1);
      while (true) pause();
    }
    close(ready[1]);
    char byte = 0;
    is_ready_ = read(ready[0], &byte, 1) == 1;
    close(ready[0]);
  }
  ~Holder() { kill_it(); }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;

  bool is_ready() const { return is_ready_; }
  pid_t pid() const { return pid_; }
  void kill_it() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
  bool is_ready_ = false;
};

TEST(FileLock, SecondProcessIsToldWhoHoldsIt) {
  const TempDir dir;
  Holder holder(dir / "LOCK");
  ASSERT_TRUE(holder.is_ready());
  EXPECT_THAT(lock_error(dir / "LOCK"), HasSubstr(cat("LOCK: held by process ", holder.pid(), ";")));
}

TEST(FileLock, LockOfAKilledProcessDoesNotBlock) {
  const TempDir dir;
  Holder holder(dir / "LOCK");
  ASSERT_TRUE(holder.is_ready());
  holder.kill_it();
  ASSERT_NE(read_file(dir / "LOCK"), "");  // its pid is still written there
  EXPECT_EQ(lock_error(dir / "LOCK"), "no error");
}

TEST(FileLock, RefusalLeavesTheHolderItsLock) {
  const TempDir dir;
  Holder holder(dir / "LOCK");
  ASSERT_TRUE(holder.is_ready());
  EXPECT_NE(lock_error(dir / "LOCK"), "no error");
  EXPECT_NE(lock_error(dir / "LOCK"), "no error");
  EXPECT_EQ(read_file(dir / "LOCK"), cat(holder.pid(), "\n"));
}

TEST(FileLock, SecondLockInOneProcessIsRefusedToo) {
  const TempDir dir;
  const FileLock lock(dir / "LOCK");
  EXPECT_THAT(lock_error(dir / "LOCK"), HasSubstr(cat("held by process ", getpid())));
}

TEST(FileLock, IsFreeAgainWhenItsObjectEnds) {
  const TempDir dir;
  auto lock = std::make_unique<FileLock>(dir / "LOCK");
  EXPECT_EQ(read_file(dir / "LOCK"), cat(getpid(), "\n"));
  lock.reset();
  EXPECT_EQ(lock_error(dir / "LOCK"), "no error");
  EXPECT_EQ(read_file(dir / "LOCK"), "");
}

TEST(FileLock, HolderThatHasNotWrittenItsPidIsAnotherProcess) {
  const TempDir dir;
  const FileLock lock(dir / "LOCK");
  fs::resize_file(dir / "LOCK", 0);
  EXPECT_THAT(lock_error(dir / "LOCK"), HasSubstr("held by another process"));
}

TEST(FileLock, PlaceThatCannotBeOpenedNamesTheReason) {
  const TempDir dir;
  EXPECT_THAT(error_of<IoError>([&] { FileLock lock(dir / "none" / "LOCK"); }),
              HasSubstr("LOCK: cannot open for writing: No such file or directory"));
}

}  // namespace
}  // namespace noregret
