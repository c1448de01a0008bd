#include <unistd.h>

#include <fstream>
#include <random>

#include "tests/fuzz/fuzz.h"

namespace noregret::fuzz {

Folder::Folder() {
  path_ = fs::temp_directory_path() / cat("noregret_fuzz_", getpid(), "_", std::random_device{}());
  fs::create_directories(path_);
}

Folder::~Folder() {
  std::error_code error;
  fs::remove_all(path_, error);
}

fs::path Folder::write(const char* name, std::string_view bytes) const {
  std::ofstream file(path_ / name, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  NOREGRET_CHECK(file.good(), (path_ / name).string());
  return path_ / name;
}

void Folder::remove(const char* name) const { fs::remove(path_ / name); }

}  // namespace noregret::fuzz
