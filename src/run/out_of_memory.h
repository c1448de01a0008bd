#pragma once

#include <exception>

namespace noregret {

// Whether memory ran out: std::bad_alloc, or LibTorch's own error, on the CPU and on CUDA.
bool is_out_of_memory(const std::exception& error);

}  // namespace noregret
