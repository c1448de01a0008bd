#pragma once

#include <cuda_runtime.h>

#include "kernels/cuda/launch.h"
#include "noregret/kernels/cuda.h"

// Programmatic dependent launch (CUDA Programming Guide): a kernel's blocks may take their places while the kernel
// before still runs, so that the gap between two kernels is only what depends on it. Every kernel launched with
// launch_early() calls wait_for_inputs() before it touches what earlier kernels write or read.
namespace noregret::kernels::cuda {

// Lets the next kernel take its places, too, and waits for the one before, and with it for all earlier ones.
__device__ inline void wait_for_inputs() {
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
  asm volatile("griddepcontrol.wait;" ::: "memory");
}

template <class... Params, class... Args>
void launch_early(const char* name, void (*kernel)(Params...), dim3 grid, int num_threads, size_t shared_bytes,
                  Stream stream, Args... args) {
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(static_cast<unsigned>(num_threads));
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  config.attrs = &early;
  config.numAttrs = 1;
  cudaLaunchKernelEx(&config, kernel, static_cast<Params>(args)...);
  check_launch(name);
}

// Streaming multiprocessors of the device.
inline int num_processors() {
  static const int count = [] {
    int device = 0, found = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&found, cudaDevAttrMultiProcessorCount, device);
    return found;
  }();
  return count;
}

// A block of the kernel may have so much shared memory beside what it declares, which is at most 12 KiB.
template <class... Params>
void allow_shared_bytes(void (*kernel)(Params...), size_t bytes) {
  if (bytes > (size_t{36} << 10))
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
}

}  // namespace noregret::kernels::cuda
