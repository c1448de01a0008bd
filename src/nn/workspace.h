#pragma once

#include <cstdint>
#include <memory>

namespace noregret {

// Memory that is used again. What is in it, also when it grows, is of no use.
class Workspace {
 public:
  float* room(int64_t size) {
    if (size > size_) {
      memory_ = std::make_unique_for_overwrite<float[]>(static_cast<size_t>(size));
      size_ = size;
    }
    return memory_.get();
  }

 private:
  std::unique_ptr<float[]> memory_;
  int64_t size_ = 0;
};

}  // namespace noregret
