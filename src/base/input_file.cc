#include "noregret/base/input_file.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/posix_file.h"
#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret {

InputFile::InputFile(const std::filesystem::path& path) : path_(path) {
  OpenInput input = open_input(path);
  size_ = input.bytes;
  fd_ = input.file.release();
}

InputFile::~InputFile() {
  if (fd_ >= 0) ::close(fd_);
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), size_(std::exchange(other.size_, 0)) {}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(size_, other.size_);
  return *this;
}

void InputFile::read_at(uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t num_read = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    if (num_read < 0 && errno == EINTR) continue;
    if (num_read < 0) throw DataError(cat(path_.string(), ": cannot read: ", errno_text(errno)));
    if (num_read == 0) {
      throw DataError(cat(path_.string(), ": ends at byte ", offset, ", want ", out.size(),
                          " bytes more; the file was cut off, fetch it again"));
    }
    out = out.subspan(static_cast<size_t>(num_read));
    offset += static_cast<uint64_t>(num_read);
  }
}

}  // namespace noregret
