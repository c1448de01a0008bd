#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

namespace noregret {

// What a stream of random numbers is for; part of its key, so that no two uses share one.
enum class Purpose : uint64_t { kTrain = 1, kEval = 2, kInit = 3, kShuffle = 4, kTask = 5 };

// Counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011, doi 10.1145/2063384.2063405).
// A stream is a 64-bit key; the i-th draw is a pure function of (key, i), so a result depends neither on the order
// in which streams are used nor on the number of threads.
class Rng {
 public:
  // key = hash(seed, purpose, parts...), a SplitMix64 chain (Steele et al., OOPSLA 2014).
  static Rng stream(uint64_t seed, Purpose purpose, std::initializer_list<uint64_t> parts);
  explicit Rng(uint64_t key) : key_(key) {}

  uint32_t next_u32();
  uint64_t next_u64();
  float uniform();                            // in [0, 1), 24 random bits, one draw
  float uniform(float low, float high);       // low + (high - low) * uniform()
  uint64_t below(uint64_t n);                 // in [0, n), unbiased; n > 0
  float uniform_at(uint64_t position) const;  // uniform() of draw number `position`; does not move the stream

  uint64_t key() const { return key_; }
  uint64_t position() const { return position_; }

 private:
  uint64_t key_;
  uint64_t position_ = 0;
};

// The Philox4x32-10 block function. Exposed for the test against the published vectors.
void philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

// A permutation of 0..n-1, a pure function of the stream (Fisher-Yates).
std::vector<int64_t> permutation(int64_t n, Rng rng);

}  // namespace noregret
