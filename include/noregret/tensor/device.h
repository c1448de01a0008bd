#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace noregret {

// "auto" (CUDA where a GPU is visible, else CPU), "cpu", "cuda" (the first visible GPU). Throws ConfigError for any
// other name, and for "cuda" without a GPU, saying which of build or GPU is missing.
at::Device parse_device(const std::string& name);

bool cuda_is_available();  // built with CUDA and a GPU is visible
bool is_cuda_build();

std::string device_name(at::Device device);  // "cpu, 2 threads", "cuda:0 NVIDIA H200"
void synchronize(at::Device device);         // waits for all work queued on the device; nothing on CPU
uint64_t peak_memory_bytes(
    at::Device device);  // CUDA: peak allocated tensors; CPU: peak resident memory of the process
// What can still be allocated: on CUDA what the driver has left and LibTorch's allocator holds unused; on the CPU what
// the system calls available, or what the limit of a control group (version 2) that the process is in leaves, if that
// is less.
uint64_t free_memory_bytes(at::Device device);  // throws IoError where /proc cannot be read

// Of this process, now. A heap that is flat and a resident size that is not is fragmentation; both growing is a leak.
struct ProcessMemory {
  uint64_t resident_bytes;
  uint64_t heap_bytes;  // allocated and not freed, of the C library's allocator
};
ProcessMemory process_memory();  // throws IoError where /proc cannot be read

// Threads of the CPU kernels, 0 = one a core (tensor/threads.h). LibTorch's own operators, which have little to do, run
// on the calling thread: its threads would go on waiting busily while the kernels' work. ConfigError for a negative
// number.
void set_num_threads(int num_threads);

}  // namespace noregret
