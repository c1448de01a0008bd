#pragma once

#include <cuda_runtime.h>

#include <tuple>

#include "kernels/cuda/launch.h"
#include "noregret/kernels/cuda.h"

// src/kernels/cuda/launch.cuh, which says what each does, in C++.
namespace noregret::kernels::cuda {

struct Blocks {
  dim3 grid;
  int num_threads;
  size_t shared_bytes = 0;
  dim3 cluster = 1;
};

template <class T>
T* dynamic_shared() {
  return static_cast<T*>(emulation::shared_memory());
}

template <class... Params, class... Args>
void launch(const char* name, void (*kernel)(Params...), const Blocks& blocks, Stream, Args... args) {
  const auto size = [](const dim3& d) { return emulation::Size{d.x, d.y, d.z}; };
  const std::tuple<Params...> params(static_cast<Params>(args)...);
  emulation::run({name, size(blocks.grid), size(blocks.cluster), blocks.num_threads, blocks.shared_bytes},
                 [&] { std::apply(kernel, params); });
}
template <class... Params, class... Args>
void launch_early(const char* name, void (*kernel)(Params...), const Blocks& blocks, Stream stream, Args... args) {
  launch(name, kernel, blocks, stream, args...);
}

inline int num_processors() { return 3; }  // few, so that blocks have several items each

}  // namespace noregret::kernels::cuda
