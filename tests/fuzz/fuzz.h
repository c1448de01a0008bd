#pragma once

#include <string>
#include <string_view>

#include "noregret/base/check.h"
#include "noregret/base/error.h"
#include "noregret/base/file.h"

// Readers of bytes from outside, each as one function of hostile bytes. The function returns whether the input is good;
// that it is refused by an Error of one line is as good an end. Anything else ends the program: a crash, another
// exception, a property that does not hold (std::logic_error). tests/fuzz/replay_test.cc runs them over corpus/<name>/,
// `make fuzz` with libFuzzer over inputs without end.
namespace noregret::fuzz {

// The bytes of a file; one that begins with "{" is a header and, after the first NUL, the data: its length is put
// before it.
bool safetensors(std::string_view input);

bool json(std::string_view input);

// tokenizer.json and, after the first NUL, tokenizer_config.json. What loads encodes and decodes.
bool tokenizer(std::string_view input);

// The bytes of a file. What opens is dequantized, and imported as a llama model.
bool gguf(std::string_view input);

// A config and, after the first NUL, an assignment as of --set.
bool yaml(std::string_view input);

// One byte of options, and an answer: extraction, parsing, the comparison that runs in process.
bool grader(std::string_view input);

// Whether `action` ends without an Error. An Error is one line.
template <class Action>
bool goes_through(const Action& action) {
  try {
    action();
    return true;
  } catch (const Error& e) {
    const std::string_view line = e.what();
    NOREGRET_CHECK(!line.empty() && line.find('\n') == std::string_view::npos, line);
    return false;
  }
}

// The two parts of an input; the second is empty where there is no NUL.
struct Parts {
  std::string_view first;
  std::string_view second;
};
inline Parts split_at_nul(std::string_view input) {
  const size_t nul = input.find('\0');
  if (nul == std::string_view::npos) return {input, {}};
  return {input.substr(0, nul), input.substr(nul + 1)};
}

// A folder of this process, for readers that take a path; removed at the end.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  fs::path write(const char* name, std::string_view bytes) const;
  void remove(const char* name) const;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

}  // namespace noregret::fuzz
