#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "base/posix_file.h"
#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

// The process id that the holder wrote, or "" when it has not yet.
std::string holder_of(const Descriptor& file) {
  char digits[32];
  const ssize_t count = pread(file.get(), digits, sizeof digits, 0);
  std::string pid;
  for (ssize_t i = 0; i < count && digits[i] >= '0' && digits[i] <= '9'; ++i) pid += digits[i];
  return pid;
}

}  // namespace

// flock(2): the lock ends with the process, whatever ends it, and a second lock within one process is refused too.
FileLock::FileLock(const fs::path& path) : fd_(-1) {
  Descriptor file = open_output(path, O_RDWR | O_CREAT);
  while (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) throw_io_error(path, "cannot lock", errno);
    const std::string pid = holder_of(file);
    throw LockedError(cat(path.string(), ": held by ", pid.empty() ? "another process" : "process " + pid,
                          "; wait for it, stop it, or name another folder"));
  }
  if (ftruncate(file.get(), 0) != 0) throw_io_error(path, "cannot write", errno);
  write_all(file.get(), cat(getpid(), "\n"), path);
  fd_ = file.release();
}

FileLock::~FileLock() {
  // If it fails: the pid of a past holder misleads nobody, it is read only while the lock is held.
  [[maybe_unused]] const int ignored = ftruncate(fd_, 0);
  close(fd_);
}

}  // namespace noregret
