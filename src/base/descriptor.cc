#include "noregret/base/descriptor.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret {

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = other.release();
  }
  return *this;
}

void Descriptor::reset() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

DescriptorPair make_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw IoError(cat("cannot make a pipe: ", errno_text(errno)));
  return DescriptorPair{Descriptor(ends[0]), Descriptor(ends[1])};
}

namespace {

DescriptorPair socket_pair_of(int type) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw IoError(cat("cannot make a socket pair: ", errno_text(errno)));
  }
  return DescriptorPair{Descriptor(ends[0]), Descriptor(ends[1])};
}

}  // namespace

DescriptorPair make_socket_pair() { return socket_pair_of(SOCK_STREAM); }
DescriptorPair make_message_socket_pair() { return socket_pair_of(SOCK_SEQPACKET); }

std::string errno_text(int error) { return std::generic_category().message(error); }

}  // namespace noregret
