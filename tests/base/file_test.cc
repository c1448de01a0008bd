#include "noregret/base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>

#include "base_support.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

std::string read_error(const fs::path& path, uint64_t max_bytes = 1000) {
  return error_of<DataError>([&] { read_file(path, max_bytes); });
}

std::string write_error(const fs::path& path) {
  return error_of<IoError>([&] { write_file_atomic(path, "new"); });
}

// As in_child, where no file may grow beyond `max_bytes`: what a full disk is to write(2), a short count and then an
// error.
std::string on_a_full_disk(rlim_t max_bytes, const std::function<std::string()>& act) {
  return in_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{max_bytes, max_bytes};
    return setrlimit(RLIMIT_FSIZE, &limit) == 0 ? act() : "no limit set";
  });
}

// As in_child, as a user who may write nowhere; "skip" where that user cannot be had.
std::string as_nobody(const std::function<std::string()>& act) {
  constexpr uid_t kNobody = 65534;
  return in_child([&] { return getuid() != 0 || (setgid(kNobody) == 0 && setuid(kNobody) == 0) ? act() : "skip"; });
}

TEST(ReadFile, GivesEveryByte) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  const TempDir dir;
  EXPECT_EQ(read_file(dir.put("a", bytes)), bytes);
  EXPECT_EQ(read_file(dir.put("b", "")), "");
}

TEST(ReadFile, NamesWhatIsWrong) {
  const TempDir dir;
  EXPECT_EQ(read_error(dir / "none"), (dir / "none").string() + ": no such file");
  EXPECT_EQ(read_error(dir.path()), dir.path().string() + ": is a folder, want a file");
  EXPECT_THAT(read_error(dir.put("a", "x") / "b"), HasSubstr("cannot open: Not a directory"));
}

TEST(ReadFile, LimitIsInclusive) {
  const TempDir dir;
  const fs::path path = dir.put("a", std::string(10, 'x'));
  EXPECT_EQ(read_file(path, 10).size(), 10u);
  EXPECT_EQ(read_error(path, 9), path.string() + ": larger than 9 bytes");
}

TEST(ReadFile, LargeSparseFileIsRefusedBeforeItIsRead) {
  const TempDir dir;
  fs::resize_file(dir.put("a", ""), uint64_t{1} << 40);
  EXPECT_THAT(read_error(dir / "a"), HasSubstr("larger than 1000 bytes"));
}

TEST(ReadFile, PipeAndDeviceAreRefusedWithoutWaiting) {
  const TempDir dir;
  ASSERT_EQ(mkfifo((dir / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(read_error(dir / "pipe"), HasSubstr("pipe: is no regular file"));
  EXPECT_THAT(read_error("/dev/zero"), HasSubstr("/dev/zero: is no regular file"));
}

TEST(ReadFile, FollowsALink) {
  const TempDir dir;
  fs::create_symlink(dir.put("a", "text"), dir / "link");
  EXPECT_EQ(read_file(dir / "link"), "text");
}

TEST(ReadFile, ReadsAFileThatHasNoSize) {
  if (!fs::exists("/proc/self/status")) GTEST_SKIP() << "no /proc";
  EXPECT_THAT(read_file("/proc/self/status"), HasSubstr("Pid:"));
  EXPECT_THAT(read_error("/proc/self/status", 10), HasSubstr("larger than 10 bytes"));
}

TEST(ReadFile, UnreadableFileNamesTheReason) {
  const TempDir dir;
  const fs::path path = dir.put("a", "secret");
  fs::permissions(path, fs::perms::none);
  const std::string message = as_nobody([&] { return read_error(path); });
  if (message == "skip") GTEST_SKIP() << "this process may not become another user";
  EXPECT_THAT(message, HasSubstr("a: cannot open: Permission denied"));
}

TEST(WriteFileAtomic, MakesAndReplaces) {
  const TempDir dir;
  write_file_atomic(dir / "a", "one");
  EXPECT_EQ(read_file(dir / "a"), "one");
  write_file_atomic(dir / "a", "two");
  EXPECT_EQ(read_file(dir / "a"), "two");
  EXPECT_THAT(dir.names(), ElementsAre("a"));
}

TEST(WriteFileAtomic, TakesABareNameAndALongOne) {
  const TempDir dir;
  const fs::path before = fs::current_path();
  fs::current_path(dir.path());
  write_file_atomic("bare", "x");
  write_file_atomic(std::string(255, 'n'), "y");  // the longest name there is
  fs::current_path(before);
  EXPECT_EQ(read_file(dir / "bare"), "x");
  EXPECT_EQ(read_file(dir / std::string(255, 'n')), "y");
}

TEST(WriteFileAtomic, MissingFolderNamesTheReason) {
  const TempDir dir;
  EXPECT_THAT(write_error(dir / "none" / "a"),
              AllOf(StartsWith((dir / "none").string()), HasSubstr("No such file or directory")));
}

TEST(WriteFileAtomic, DoesNotReplaceAFolderOrADevice) {
  const TempDir dir;
  EXPECT_THAT(write_error(dir.path()), HasSubstr("is not a regular file"));
  EXPECT_THAT(write_error("/dev/null"), HasSubstr("/dev/null: exists and is not a regular file"));
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST(WriteFileAtomic, FolderThatMayNotBeWrittenNamesTheReason) {
  const TempDir dir;
  fs::permissions(dir.path(),
                  fs::perms::owner_read | fs::perms::owner_exec | fs::perms::others_read | fs::perms::others_exec);
  const std::string message = as_nobody([&] { return write_error(dir / "a"); });
  fs::permissions(dir.path(), fs::perms::owner_all);
  if (message == "skip") GTEST_SKIP() << "this process may not become another user";
  EXPECT_THAT(message, HasSubstr("cannot open for writing: Permission denied"));
}

TEST(WriteFileAtomic, FullDiskLeavesTheOldFileAndNothingElse) {
  const TempDir dir;
  const fs::path path = dir.put("a", "old");
  const std::string message =
      on_a_full_disk(1000, [&] { return error_of<IoError>([&] { write_file_atomic(path, std::string(5000, 'x')); }); });
  EXPECT_THAT(message, HasSubstr("cannot write: File too large"));
  EXPECT_EQ(read_file(path), "old");
  EXPECT_THAT(dir.names(), ElementsAre("a"));
}

TEST(WriteFileAtomic, LeftoverOfAKilledProcessIsInNobodysWay) {
  const TempDir dir;
  dir.put(cat(".tmp-", getpid(), "-0"), "half");
  write_file_atomic(dir / "a", "whole");
  EXPECT_EQ(read_file(dir / "a"), "whole");
}

TEST(Sha256, MatchesTheExamplesOfTheStandard) {
  // FIPS 180-4 examples (NIST CSRC, "Secure Hash Standard: SHA256").
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, FileIsHashedInParts) {
  const TempDir dir;
  const std::string bytes(3'000'001, 'z');  // more than one part, and no multiple of it
  EXPECT_EQ(sha256_file(dir.put("a", bytes)), sha256_hex(bytes));
  EXPECT_EQ(sha256_file(dir.put("b", "")), sha256_hex(""));
}

TEST(Sha256, MissingFileIsAnError) {
  const TempDir dir;
  EXPECT_THAT(error_of<DataError>([&] { sha256_file(dir / "none"); }), HasSubstr("none: no such file"));
}

TEST(AppendFile, AppendsToWhatIsThere) {
  const TempDir dir;
  dir.put("log", "one\n");
  {
    AppendFile file(dir / "log");
    EXPECT_EQ(file.size(), 4u);
    file.write("two\n");
    EXPECT_EQ(read_file(dir / "log"), "one\ntwo\n");  // there at once, not at the end
    file.write("three\n");
    EXPECT_EQ(file.size(), 14u);
  }
  EXPECT_EQ(read_file(dir / "log"), "one\ntwo\nthree\n");
}

TEST(AppendFile, FullDeviceNamesTheReason) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  AppendFile file("/dev/full");
  EXPECT_EQ(error_of<IoError>([&] { file.write("x\n"); }), "/dev/full: cannot write: No space left on device");
}

TEST(AppendFile, FullDiskLeavesNoHalfLine) {
  const TempDir dir;
  const std::string message = on_a_full_disk(10, [&] {
    AppendFile file(dir / "log");
    file.write("12345\n");
    return error_of<IoError>([&] { file.write("abcdefgh\n"); });
  });
  EXPECT_THAT(message, HasSubstr("log: cannot write: File too large"));
  EXPECT_EQ(read_file(dir / "log"), "12345\n");
}

TEST(AppendFile, WhatCannotBeSyncedIsAnError) {
  const TempDir dir;
  AppendFile file(dir / "log");
  file.write("x\n");
  EXPECT_NO_THROW(file.sync());
  AppendFile device("/dev/null");  // has nothing to sync
  EXPECT_THAT(error_of<IoError>([&] { device.sync(); }), HasSubstr("/dev/null: cannot sync: Invalid argument"));
}

TEST(AppendFile, FolderIsAnError) {
  const TempDir dir;
  EXPECT_THAT(error_of<IoError>([&] { AppendFile file(dir.path()); }),
              HasSubstr("cannot open for writing: Is a directory"));
}

}  // namespace
}  // namespace noregret
