#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <set>
#include <string>

#include "noregret/base/error.h"
#include "noregret/base/file.h"

namespace noregret {

// A folder of its own for the running test, gone afterwards.
class TempDir {
 public:
  TempDir() : path_(fs::path(testing::TempDir()) / name_of_test()) {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~TempDir() { fs::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const fs::path& path() const { return path_; }
  fs::path operator/(const std::string& name) const { return path_ / name; }
  fs::path put(const std::string& name, const std::string& bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
    return path_ / name;
  }
  std::set<std::string> names() const {
    std::set<std::string> found;
    for (const fs::directory_entry& entry : fs::directory_iterator(path_)) found.insert(entry.path().filename());
    return found;
  }

 private:
  static std::string name_of_test() {
    const testing::TestInfo* info = testing::UnitTest::GetInstance()->current_test_info();
    return std::string("base-") + std::to_string(getpid()) + "-" + info->test_suite_name() + "-" + info->name();
  }
  fs::path path_;
};

// The message of the E that `act` throws; "no error" when it throws nothing.
template <class E, class Act>
std::string error_of(const Act& act) {
  try {
    act();
  } catch (const E& e) {
    return e.what();
  }
  return "no error";
}

// Runs `act` in a child process and gives what it returned. The child leaves without destructors, as a killed process
// does, once `act` has returned.
inline std::string in_child(const std::function<std::string()>& act) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    const std::string text = act();
    const bool is_written = write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size());
    _exit(is_written ? 0 : 1);
  }
  close(ends[1]);
  std::string text;
  char buffer[256];
  for (ssize_t count; (count = read(ends[0], buffer, sizeof buffer)) > 0;) text.append(buffer, count);
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return text;
}

}  // namespace noregret
