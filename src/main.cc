#include <filesystem>

#include "noregret/run/cli.h"

int main(int argc, char** argv) {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  return noregret::run_cli(argc, argv, error ? std::filesystem::current_path() : program.parent_path());
}
