#include "noregret/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/posix_file.h"
#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

// A name beside `path` that nothing has; the process id keeps two processes apart.
fs::path aside_path(const fs::path& path) {
  for (int i = 0;; ++i) {
    const fs::path aside = folder_of(path) / cat(".tmp-", getpid(), "-", i);
    std::error_code error;
    if (!fs::exists(fs::symlink_status(aside, error))) return aside;
  }
}

}  // namespace

std::string read_file(const fs::path& path, uint64_t max_bytes) {
  const OpenInput input = open_input(path);
  const auto refuse_larger = [&](uint64_t bytes) {
    if (bytes > max_bytes) throw DataError(cat(path.string(), ": larger than ", max_bytes, " bytes"));
  };
  refuse_larger(input.bytes);
  std::string bytes(input.bytes, '\0');
  bytes.resize(read_some(input.file, bytes.data(), bytes.size(), path));
  // Some files hold more than their size says: those of /proc, and those that grow.
  std::string more(4096, '\0');
  while (const size_t count = read_some(input.file, more.data(), more.size(), path)) {
    bytes.append(more, 0, count);
    refuse_larger(bytes.size());
  }
  return bytes;
}

void write_file_atomic(const fs::path& path, std::string_view bytes) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    throw IoError(path.string() + ": exists and is not a regular file, will not replace it");
  }
  const fs::path aside = aside_path(path);
  try {
    write_synced_file(aside, bytes);
    rename_path(aside, path);
  } catch (...) {
    unlink(aside.c_str());
    throw;
  }
  sync_folder(folder_of(path));
}

AppendFile::AppendFile(const fs::path& path)
    : path_(path), fd_(open_output(path, O_WRONLY | O_CREAT | O_APPEND).release()) {}

AppendFile::~AppendFile() { close(fd_); }

void AppendFile::write(std::string_view bytes) {
  const uint64_t before = size();
  try {
    write_all(fd_, bytes, path_);
  } catch (const IoError&) {
    // No half line stays. A device has no length to go back to.
    [[maybe_unused]] const int ignored = ftruncate(fd_, static_cast<off_t>(before));
    throw;
  }
}

void AppendFile::sync() { sync_descriptor(fd_, path_); }

uint64_t AppendFile::size() const {
  struct stat status {};
  if (fstat(fd_, &status) != 0) throw_io_error(path_, "cannot take its size", errno);
  return static_cast<uint64_t>(status.st_size);
}

}  // namespace noregret
