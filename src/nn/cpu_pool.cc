#include "nn/cpu_pool.h"

#include <memory>

#include "noregret/tensor/threads.h"

namespace noregret {

kernels::ThreadPool& cpu_pool() {
  static std::unique_ptr<kernels::ThreadPool> pool;
  const int count = num_threads();
  if (pool == nullptr || pool->num_threads() != count) pool = std::make_unique<kernels::ThreadPool>(count);
  return *pool;
}

}  // namespace noregret
