#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "noregret/base/file.h"

namespace noregret {

// What another program wrote as a message: one line, valid UTF-8. A character that the end of its buffer cut is
// dropped.
std::string clean_line(std::string_view text);

// What child processes print, line by line: kept until take(), or appended to a file. At most 16 MiB in all; any
// thread.
class OutputLog {
 public:
  void open(const std::filesystem::path& file);  // throws IoError
  std::string take();
  // False once nothing more is kept.
  bool write(const std::string& label, std::string_view line);

 private:
  std::mutex mutex_;
  std::string kept_;
  std::unique_ptr<AppendFile> file_;
  size_t num_bytes_ = 0;
};

// One process's share of the log.
class OutputLines {
 public:
  OutputLines(std::string label, OutputLog& log) : label_(std::move(label)), log_(log) {}
  void feed(std::string_view bytes);
  void end();  // a last line without its line feed
  const std::string& last_line() const { return last_line_; }

 private:
  void put(std::string_view line);

  std::string label_;
  OutputLog& log_;
  std::string open_line_;
  std::string last_line_;
  size_t num_bytes_ = 0;
};

}  // namespace noregret
