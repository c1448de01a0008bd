#pragma once

#include "noregret/kernels/thread_pool.h"

namespace noregret::bench {

// The most that the pool's threads can do, measured: what other figures are divided by.
struct Ceiling {
  double gflops = 0.0;    // f32, chains of fused multiply-adds in registers
  double gb_per_s = 0.0;  // read from memory in order, a part a thread; 10^9 bytes
};
Ceiling measure_ceiling(kernels::ThreadPool& pool);

}  // namespace noregret::bench
