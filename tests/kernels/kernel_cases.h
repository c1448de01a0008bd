#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "noregret/base/rng.h"
#include "noregret/base/text.h"
#include "noregret/kernels/isa.h"
#include "noregret/kernels/thread_pool.h"

namespace noregret::kernels {

// Half the distance from 1 to the next f32: the relative error of one rounding.
inline constexpr double kRounding = 0x1p-24;
inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
inline constexpr float kInfinity = std::numeric_limits<float>::infinity();
inline constexpr float kCanary = -12345.5f;  // what no kernel writes

// Values in [low, high), a pure function of the seed.
inline std::vector<float> random_values(int64_t size, uint64_t seed, float low = -1.0f, float high = 1.0f) {
  std::vector<float> values(static_cast<size_t>(size));
  Rng rng(seed);
  for (float& value : values) value = rng.uniform(low, high);
  return values;
}

inline float widen(uint16_t bf16) { return std::bit_cast<float>(static_cast<uint32_t>(bf16) << 16); }

inline std::vector<uint16_t> random_bf16(int64_t size, uint64_t seed) {
  std::vector<uint16_t> values;
  for (const float value : random_values(size, seed))
    values.push_back(static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16));
  return values;
}

// The instruction set of a scope.
class ForcedIsa {
 public:
  explicit ForcedIsa(Isa isa) : before_(current_isa()) { force_isa(isa); }
  ~ForcedIsa() { force_isa(before_); }
  ForcedIsa(const ForcedIsa&) = delete;
  ForcedIsa& operator=(const ForcedIsa&) = delete;

 private:
  Isa before_;
};

inline void expect_same_bits(std::span<const float> values, std::span<const float> expected, const std::string& what) {
  ASSERT_EQ(values.size(), expected.size()) << what;
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(std::bit_cast<uint32_t>(values[i]), std::bit_cast<uint32_t>(expected[i]))
        << what << ": element " << i << " is " << values[i] << ", not " << expected[i];
  }
}

// visit(pool) on every instruction set with 1, 2 and 3 threads.
template <class Visit>
void for_each_setting(const Visit& visit) {
  for (const Isa isa : supported_isas()) {
    const ForcedIsa forced(isa);
    for (const int num_threads : {1, 2, 3}) {
      SCOPED_TRACE(cat(isa_name(isa), ", ", num_threads, " threads"));
      ThreadPool pool(num_threads);
      visit(pool);
    }
  }
}

// compute(pool) gives the same values, bit for bit, in every setting. Returns them.
template <class Compute>
std::vector<float> same_in_all_settings(const Compute& compute) {
  std::vector<float> first;
  for_each_setting([&](ThreadPool& pool) {
    const std::vector<float> values = compute(pool);
    if (first.empty()) first = values;
    expect_same_bits(values, first, "against one thread of portable code");
  });
  return first;
}

inline std::vector<float> joined(std::initializer_list<std::vector<float>> parts) {
  std::vector<float> all;
  for (const std::vector<float>& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

}  // namespace noregret::kernels
