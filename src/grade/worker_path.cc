#include <dlfcn.h>

#include <vector>

#include "noregret/base/error.h"
#include "noregret/grade/grader.h"

namespace noregret {
namespace {

namespace fs = std::filesystem;
constexpr const char* kProgram = "noregret-grade-worker";

// The folder of the shared library that holds this function; of the program where it is linked in.
fs::path own_folder() {
  Dl_info info{};
  std::error_code error;
  if (dladdr(reinterpret_cast<const void*>(&own_folder), &info) != 0 && info.dli_fname != nullptr) {
    const fs::path file = fs::canonical(info.dli_fname, error);
    if (!error && file.extension() == ".so") return file.parent_path();
  }
  return fs::read_symlink("/proc/self/exe", error).parent_path();
}

}  // namespace

fs::path find_grade_worker() {
  const fs::path folder = own_folder();
  for (const fs::path& candidate : {folder / kProgram, folder.parent_path() / kProgram}) {
    std::error_code error;
    if (fs::is_regular_file(candidate, error)) return candidate;
  }
  throw ConfigError(cat("no ", kProgram, " in ", folder.string(), " or the folder above; build it with `make build`, ",
                        "or say where it is"));
}

}  // namespace noregret
