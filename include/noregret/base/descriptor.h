#pragma once

#include <string>
#include <utility>

namespace noregret {

// An open file; closes it. -1 = none.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { reset(); }
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  void reset();  // closes

 private:
  int fd_ = -1;
};

struct DescriptorPair {
  Descriptor first;
  Descriptor second;
};
// All of these throw IoError.
DescriptorPair make_pipe();                 // read end, write end
DescriptorPair make_socket_pair();          // a stream in both directions
DescriptorPair make_message_socket_pair();  // messages that stay whole, in both directions

// "No space left on device": the text of an errno value.
std::string errno_text(int error);

}  // namespace noregret
