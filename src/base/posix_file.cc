#include "base/posix_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

constexpr size_t kMaxCall = size_t{1} << 30;  // read(2) and write(2) move at most 2 GiB at a time

}  // namespace

void throw_io_error(const fs::path& path, std::string_view what, int error) {
  throw IoError(cat(path.string(), ": ", what, ": ", errno_text(error)));
}

OpenInput open_input(const fs::path& path) {
  const std::string name = path.string();
  // O_NONBLOCK: opening a FIFO without a writer would wait for ever.
  Descriptor file(open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0 && errno == ENOENT) throw DataError(name + ": no such file");
  struct stat status {};
  if (file.get() < 0 || fstat(file.get(), &status) != 0)
    throw DataError(cat(name, ": cannot open: ", errno_text(errno)));
  if (S_ISDIR(status.st_mode)) throw DataError(name + ": is a folder, want a file");
  if (!S_ISREG(status.st_mode)) throw DataError(name + ": is no regular file");
  return {std::move(file), static_cast<uint64_t>(status.st_size)};
}

size_t read_some(const Descriptor& file, char* out, size_t size, const fs::path& path) {
  size_t total = 0;
  while (total < size) {
    const ssize_t count = read(file.get(), out + total, std::min(size - total, kMaxCall));
    if (count == 0) break;
    if (count > 0) total += static_cast<size_t>(count);
    if (count < 0 && errno != EINTR) throw DataError(cat(path.string(), ": cannot read: ", errno_text(errno)));
  }
  return total;
}

Descriptor open_output(const fs::path& path, int flags) {
  Descriptor file(open(path.c_str(), flags | O_CLOEXEC, 0666));
  while (file.get() < 0 && errno == EINTR) file = Descriptor(open(path.c_str(), flags | O_CLOEXEC, 0666));
  if (file.get() < 0) throw_io_error(path, "cannot open for writing", errno);
  return file;
}

void write_all(int fd, std::string_view bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t count = write(fd, bytes.data(), std::min(bytes.size(), kMaxCall));
    if (count >= 0) {
      bytes.remove_prefix(static_cast<size_t>(count));
    } else if (errno != EINTR) {
      throw_io_error(path, "cannot write", errno);
    }
  }
}

void sync_descriptor(int fd, const fs::path& path) {
  while (fsync(fd) != 0) {
    if (errno != EINTR) throw_io_error(path, "cannot sync", errno);
  }
}

void write_synced_file(const fs::path& path, std::string_view bytes) {
  Descriptor file = open_output(path, O_WRONLY | O_CREAT | O_EXCL);
  write_all(file.get(), bytes, path);
  sync_descriptor(file.get(), path);
  // An interrupted close has closed (Linux).
  if (close(file.release()) != 0 && errno != EINTR) throw_io_error(path, "cannot close", errno);
}

void sync_folder(const fs::path& dir) {
  Descriptor folder(open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  while (folder.get() < 0 && errno == EINTR) folder = Descriptor(open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0) throw_io_error(dir, "cannot open the folder", errno);
  sync_descriptor(folder.get(), dir);
}

void rename_path(const fs::path& from, const fs::path& to) {
  if (rename(from.c_str(), to.c_str()) != 0) throw_io_error(to, "cannot move the finished write into place", errno);
}

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

}  // namespace noregret
