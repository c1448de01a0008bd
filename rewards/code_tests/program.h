#pragma once

#include <string>
#include <string_view>
#include <vector>

// What is to be run, and what it is tested with.
struct CodeTest {
  std::string input;     // stdin, or
  std::string call;      // a Python expression
  std::string expected;  // what is printed
  bool is_call = false;
};

// The last fenced block of that language or of none, else all of it; "" where a cut completion ends inside the last.
std::string program_in(std::string_view completion, std::string_view language, bool is_truncated);

// metadata.tests. Throws std::invalid_argument or noregret::DataError with the reason.
std::vector<CodeTest> tests_in(std::string_view metadata_json);

// Equal but for white space at the ends of lines and empty lines at the end.
bool is_same_output(std::string_view printed, std::string_view expected);
