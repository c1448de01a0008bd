#pragma once

#include <filesystem>

namespace noregret {

// The program: parses the command line, runs one verb, prints an error as one line on stderr. Returns the exit code
// (base/error.h). `program_dir` is the folder of the executable; plugins lie in its `rewards` folder.
int run_cli(int argc, const char* const* argv, const std::filesystem::path& program_dir);

}  // namespace noregret
