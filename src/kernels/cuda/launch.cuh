#pragma once

#include <cuda_runtime.h>

#include "kernels/cuda/launch.h"
#include "noregret/kernels/cuda.h"

namespace noregret::kernels::cuda {

struct Blocks {
  dim3 grid;
  int num_threads;          // of a block
  size_t shared_bytes = 0;  // dynamic_shared() of a block, at most 36 KiB
  dim3 cluster = 1;         // what the kernel's __cluster_dims__ says
};

// The shared memory that a block was launched with.
template <class T>
__device__ T* dynamic_shared() {
  extern __shared__ uint4 memory[];
  return reinterpret_cast<T*>(memory);
}

template <class... Params, class... Args>
void launch_with(const cudaLaunchAttribute* attribute, const char* name, void (*kernel)(Params...),
                 const Blocks& blocks, Stream stream, Args... args) {
  if (blocks.grid.x % blocks.cluster.x != 0 || blocks.grid.y % blocks.cluster.y != 0) refuse(name, "part of a cluster");
  cudaLaunchConfig_t config{};
  config.gridDim = blocks.grid;
  config.blockDim = dim3(static_cast<unsigned>(blocks.num_threads));
  config.dynamicSmemBytes = blocks.shared_bytes;
  config.stream = stream;
  config.attrs = const_cast<cudaLaunchAttribute*>(attribute);  // which is only read
  config.numAttrs = attribute != nullptr ? 1 : 0;
  cudaLaunchKernelEx(&config, kernel, static_cast<Params>(args)...);
  check_launch(name);
}

template <class... Params, class... Args>
void launch(const char* name, void (*kernel)(Params...), const Blocks& blocks, Stream stream, Args... args) {
  launch_with(nullptr, name, kernel, blocks, stream, args...);
}

// Programmatic dependent launch (CUDA Programming Guide): a kernel's blocks may take their places while the kernel
// before still runs, so that the gap between two kernels is only what depends on it. Every kernel launched this way
// calls wait_for_inputs() before it touches what earlier kernels write or read.
template <class... Params, class... Args>
void launch_early(const char* name, void (*kernel)(Params...), const Blocks& blocks, Stream stream, Args... args) {
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  launch_with(&early, name, kernel, blocks, stream, args...);
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

}  // namespace noregret::kernels::cuda
