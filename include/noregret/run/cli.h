#pragma once

#include <filesystem>
#include <string>

namespace noregret {

// The program: parses the command line, runs one verb, prints an error as one line on stderr. Returns the exit code
// (base/error.h). `program_dir` is the folder of the executable; plugins lie in its `rewards` folder. `search_path` is
// where rewards that are programs are looked for, PATH as it were.
int run_cli(int argc, const char* const* argv, const std::filesystem::path& program_dir,
            const std::string& search_path = "/usr/local/bin:/usr/bin:/bin");

}  // namespace noregret
