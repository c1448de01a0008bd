#include "noregret/base/rng.h"

#include <utility>

#include "noregret/base/check.h"

namespace noregret {
namespace {

// One step of SplitMix64 from the state `x` (Steele et al., OOPSLA 2014, figure 16).
uint64_t splitmix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

uint32_t low32(uint64_t x) { return static_cast<uint32_t>(x); }
uint32_t high32(uint64_t x) { return static_cast<uint32_t>(x >> 32); }

uint32_t draw(uint64_t key, uint64_t position) {
  const uint64_t block = position / 4;
  const uint32_t counter[4] = {low32(block), high32(block), 0, 0};
  const uint32_t key_words[2] = {low32(key), high32(key)};
  uint32_t words[4];
  philox4x32_10(counter, key_words, words);
  return words[position % 4];
}

// 24 bits: every value is exact in a float, and 1 is never reached.
float unit_float(uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }

}  // namespace

void philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  // Multipliers and Weyl constants: Salmon et al., SC 2011, section 4.3.
  constexpr uint64_t kMultiplier0 = 0xd2511f53;
  constexpr uint64_t kMultiplier1 = 0xcd9e8d57;
  constexpr uint32_t kWeyl0 = 0x9e3779b9;
  constexpr uint32_t kWeyl1 = 0xbb67ae85;
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = kMultiplier0 * c0;
    const uint64_t product1 = kMultiplier1 * c2;
    c0 = high32(product1) ^ c1 ^ k0;
    c1 = low32(product1);
    c2 = high32(product0) ^ c3 ^ k1;
    c3 = low32(product0);
    k0 += kWeyl0;
    k1 += kWeyl1;
  }
  out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

Rng Rng::stream(uint64_t seed, Purpose purpose, std::initializer_list<uint64_t> parts) {
  uint64_t key = splitmix64(splitmix64(seed) ^ static_cast<uint64_t>(purpose));
  for (const uint64_t part : parts) key = splitmix64(key ^ part);
  return Rng(key);
}

uint32_t Rng::next_u32() { return draw(key_, position_++); }

uint64_t Rng::next_u64() {
  const uint64_t low = next_u32();
  return low | static_cast<uint64_t>(next_u32()) << 32;
}

float Rng::uniform() { return unit_float(next_u32()); }

float Rng::uniform(float low, float high) { return low + (high - low) * uniform(); }

uint64_t Rng::below(uint64_t n) {
  NOREGRET_CHECK(n > 0, "below(0) has no value to give");
  const uint64_t excess = (0 - n) % n;  // 2^64 mod n: the draws below it would make small results likelier
  uint64_t bits = next_u64();
  while (bits < excess) bits = next_u64();
  return bits % n;
}

float Rng::uniform_at(uint64_t position) const { return unit_float(draw(key_, position)); }

std::vector<int64_t> permutation(int64_t n, Rng rng) {
  NOREGRET_CHECK(n >= 0, "permutation of ", n);
  std::vector<int64_t> order(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) order[static_cast<size_t>(i)] = i;
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  return order;
}

}  // namespace noregret
