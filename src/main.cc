#include <cstdlib>
#include <filesystem>

#include "noregret/base/heap.h"
#include "noregret/run/cli.h"

int main(int argc, char** argv) {
  noregret::prepare_heap();
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path program_dir = error ? std::filesystem::current_path() : program.parent_path();
  const char* search_path = std::getenv("PATH");
  if (search_path == nullptr) return noregret::run_cli(argc, argv, program_dir);
  return noregret::run_cli(argc, argv, program_dir, search_path);
}
