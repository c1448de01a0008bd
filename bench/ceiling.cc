#include "bench/ceiling.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <vector>

#include "noregret/base/clock.h"
#include "noregret/kernels/isa.h"

namespace noregret::bench {
namespace {

constexpr int kNumRepeats = 7;
constexpr int kNumChains = 12;  // more than latency times throughput of any of these CPUs, fewer than 16 registers
constexpr int64_t kFmaSteps = 4'000'000;
constexpr size_t kReadBytes = size_t{256} << 20;  // beyond every cache

typedef float Vector4 __attribute__((vector_size(16)));
typedef float Vector8 __attribute__((vector_size(32)));
typedef float Vector16 __attribute__((vector_size(64)));

// By reference: vectors as values would depend on the caller's instruction set.
template <class Vector>
[[gnu::always_inline]] inline float run_chains(int64_t num_steps, float x) {
  Vector chains[kNumChains];
  const Vector factor = Vector{} + 0.999f * x;
  const Vector summand = Vector{} + 0.001f;
  for (Vector& chain : chains) chain = summand;
  for (int64_t i = 0; i < num_steps; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < kNumChains; ++c) chains[c] = chains[c] * factor + summand;
  }
  float sum = 0.0f;
  for (const Vector& chain : chains) sum += chain[0];
  return sum;
}

// What the compiler makes of this file's default flags has no fused multiply-add: a product and a sum.
float chains_portable(int64_t num_steps, float x) { return run_chains<Vector4>(num_steps, x); }
[[gnu::target("avx2,fma")]] float chains_avx2(int64_t num_steps, float x) { return run_chains<Vector8>(num_steps, x); }
[[gnu::target("avx512f,fma")]] float chains_avx512(int64_t num_steps, float x) {
  return run_chains<Vector16>(num_steps, x);
}

struct Chains {
  float (*run)(int64_t num_steps, float x);
  int lanes;
};
Chains best_chains() {
  switch (kernels::supported_isas().back()) {
    case kernels::Isa::kAvx512:
      return {chains_avx512, 16};
    case kernels::Isa::kAvx2:
      return {chains_avx2, 8};
    case kernels::Isa::kPortable:
      break;
  }
  return {chains_portable, 4};
}

uint64_t read_all(const std::byte* bytes, size_t count) {
  uint64_t sums[8] = {};
  for (size_t i = 0; i + 64 <= count; i += 64) {
    uint64_t line[8];
    std::memcpy(line, bytes + i, 64);
    for (int lane = 0; lane < 8; ++lane) sums[lane] += line[lane];
  }
  uint64_t sum = 0;
  for (const uint64_t part : sums) sum += part;
  return sum;
}

// The shortest of some runs.
template <class Work>
double best_seconds(const Work& work) {
  double best = 1e30;
  for (int repeat = 0; repeat < kNumRepeats; ++repeat) {
    const Stopwatch watch;
    work();
    best = std::min(best, watch.seconds());
  }
  return best;
}

}  // namespace

Ceiling measure_ceiling(kernels::ThreadPool& pool) {
  const int64_t num_threads = pool.num_threads();
  const Chains chains = best_chains();
  std::atomic<float> sink{0.0f};  // results are used, so that no loop is left out
  const double fma_s =
      best_seconds([&] { pool.run(num_threads, [&](int64_t /*task*/) { sink.store(chains.run(kFmaSteps, 1.0f)); }); });

  const std::vector<std::byte> memory(kReadBytes, std::byte{1});
  const size_t part = kReadBytes / static_cast<size_t>(num_threads) / 64 * 64;
  std::atomic<uint64_t> total{0};
  const double read_s = best_seconds([&] {
    pool.run(num_threads,
             [&](int64_t task) { total += read_all(memory.data() + part * static_cast<size_t>(task), part); });
  });
  const double flops = 2.0 * kNumChains * chains.lanes * static_cast<double>(kFmaSteps * num_threads);
  return {flops / fma_s * 1e-9, static_cast<double>(part) * static_cast<double>(num_threads) / read_s * 1e-9};
}

}  // namespace noregret::bench
