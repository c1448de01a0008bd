#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace noregret {

// A fresh folder of this process, removed with its content.
class ScratchDir {
 public:
  ScratchDir() {
    static int count = 0;
    path_ = std::filesystem::path(testing::TempDir()) /
            ("noregret_" + std::to_string(getpid()) + "_" + std::to_string(count++));
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~ScratchDir() { std::filesystem::remove_all(path_); }
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // Writes a file below the folder and returns its path.
  std::filesystem::path write(const std::string& name, const std::string& text) const {
    const std::filesystem::path file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
    return file;
  }

 private:
  std::filesystem::path path_;
};

inline std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  EXPECT_TRUE(in) << file;
  return {std::istreambuf_iterator<char>(in), {}};
}

// what() of the ErrorType that `action` throws; "" and a failed test when it throws none.
template <class ErrorType, class Action>
std::string message_of(const Action& action) {
  try {
    action();
  } catch (const ErrorType& e) {
    return e.what();
  }
  ADD_FAILURE() << "no error of this class";
  return "";
}

}  // namespace noregret
