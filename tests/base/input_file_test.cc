#include "noregret/base/input_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <fstream>
#include <string>

#include "noregret/base/error.h"

namespace noregret {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// A file of its own for each test, removed at the end.
class InputFileTest : public testing::Test {
 protected:
  InputFileTest() { fs::create_directories(dir_); }
  ~InputFileTest() override { fs::remove_all(dir_); }

  fs::path write(const std::string& text) const {
    std::ofstream(dir_ / "file", std::ios::binary) << text;
    return dir_ / "file";
  }

  static std::string open_error(const fs::path& path) {
    try {
      const InputFile file(path);
    } catch (const DataError& e) {
      return e.what();
    }
    return "no error";
  }

  static std::string read(const InputFile& file, uint64_t offset, size_t size) {
    std::string text(size, '?');
    file.read_at(offset, std::as_writable_bytes(std::span(text)));
    return text;
  }

  fs::path dir_ = fs::path(testing::TempDir()) / testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(InputFileTest, ReadsFromAnyPlace) {
  const InputFile file(write("0123456789"));
  EXPECT_EQ(file.size(), 10u);
  EXPECT_EQ(read(file, 3, 4), "3456");
  EXPECT_EQ(read(file, 0, 10), "0123456789");
  EXPECT_EQ(read(file, 10, 0), "");
}

TEST_F(InputFileTest, ReadingPastTheEndIsAnErrorNotAShortRead) {
  const InputFile file(write("0123456789"));
  try {
    read(file, 8, 3);
    FAIL() << "no error";
  } catch (const DataError& e) {
    EXPECT_THAT(e.what(), HasSubstr("file: ends at byte 10, want 1 bytes more"));
  }
}

TEST_F(InputFileTest, FileCutOffAfterOpeningIsAnError) {
  const InputFile file(write("0123456789"));
  fs::resize_file(file.path(), 5);
  EXPECT_EQ(read(file, 0, 5), "01234");
  EXPECT_THROW(read(file, 0, 6), DataError);
}

TEST_F(InputFileTest, MissingFileIsNamed) { EXPECT_THAT(open_error(dir_ / "none"), HasSubstr("none: no such file")); }

TEST_F(InputFileTest, FolderIsRefused) { EXPECT_THAT(open_error(dir_), HasSubstr("is a folder, want a file")); }

TEST_F(InputFileTest, FifoIsRefusedWithoutWaiting) {
  const fs::path fifo = dir_ / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_THAT(open_error(fifo), HasSubstr("is no regular file"));
}

TEST_F(InputFileTest, DeviceIsRefused) { EXPECT_THAT(open_error("/dev/null"), HasSubstr("is no regular file")); }

TEST_F(InputFileTest, MovedFileStaysReadable) {
  InputFile first(write("0123456789"));
  InputFile second(std::move(first));
  EXPECT_EQ(read(second, 9, 1), "9");
  InputFile third(dir_ / "file");
  third = std::move(second);
  EXPECT_EQ(read(third, 2, 2), "23");
}

}  // namespace
}  // namespace noregret
