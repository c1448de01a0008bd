#include "nn/cpu_pool.h"

#include <ATen/Parallel.h>

#include <memory>

namespace noregret {

kernels::ThreadPool& cpu_pool() {
  static std::unique_ptr<kernels::ThreadPool> pool;
  const int num_threads = at::get_num_threads();
  if (pool == nullptr || pool->num_threads() != num_threads) pool = std::make_unique<kernels::ThreadPool>(num_threads);
  return *pool;
}

}  // namespace noregret
