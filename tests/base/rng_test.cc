#include "noregret/base/rng.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <stdexcept>

namespace noregret {
namespace {

using testing::ElementsAre;
using Words = std::array<uint32_t, 4>;

Words philox(const Words& counter, const std::array<uint32_t, 2>& key) {
  Words out;
  philox4x32_10(counter.data(), key.data(), out.data());
  return out;
}

// The three vectors below: Random123 (D. E. Shaw Research), kat_vectors, lines "philox4x32 10".
TEST(Philox, MatchesThePublishedVectorOfZeros) {
  EXPECT_THAT(philox({0, 0, 0, 0}, {0, 0}), ElementsAre(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
}

TEST(Philox, MatchesThePublishedVectorOfOnes) {
  EXPECT_THAT(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
              ElementsAre(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
}

TEST(Philox, MatchesThePublishedVectorOfPi) {
  EXPECT_THAT(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
              ElementsAre(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1));
}

TEST(Rng, DrawsAreTheWordsOfConsecutiveBlocks) {
  const uint64_t key = 0x0123456789abcdef;
  Rng rng(key);
  for (uint32_t block = 0; block < 3; ++block) {
    for (const uint32_t word : philox({block, 0, 0, 0}, {0x89abcdef, 0x01234567})) EXPECT_EQ(rng.next_u32(), word);
  }
  EXPECT_EQ(rng.position(), 12u);
}

TEST(Rng, UniformAtIsTheDrawAtThatPosition) {
  Rng rng(99);
  for (uint64_t i = 0; i < 100; ++i) {
    const float ahead = rng.uniform_at(i);
    EXPECT_EQ(rng.position(), i);
    ASSERT_EQ(rng.uniform(), ahead) << i;
  }
}

TEST(Rng, PositionsBeyondThirtyTwoBitsDiffer) {
  const Rng rng(7);
  EXPECT_NE(rng.uniform_at(3), rng.uniform_at(3 + (uint64_t{1} << 34)));  // block 2^32: the counter's second word
}

TEST(Rng, UniformHasTwentyFourBitsAndNeverReachesOne) {
  Rng rng(3);
  double sum = 0.0;
  constexpr int kDraws = 100000;
  for (int i = 0; i < kDraws; ++i) {
    const float u = rng.uniform();
    ASSERT_GE(u, 0.0f);
    ASSERT_LT(u, 1.0f);
    const float scaled = u * 0x1p24f;
    ASSERT_EQ(scaled, static_cast<float>(static_cast<uint32_t>(scaled)));
    sum += u;
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 0.005);  // 5 standard errors: sqrt(1 / 12 / 100000) = 0.0009
}

TEST(Rng, UniformBetweenBoundsScalesOneDraw) {
  Rng a(5);
  Rng b(5);
  const float u = a.uniform();
  EXPECT_EQ(b.uniform(-2.0f, 6.0f), -2.0f + 8.0f * u);
  EXPECT_EQ(a.position(), b.position());
}

TEST(Rng, TwoWordsMakeALongOneLowFirst) {
  Rng a(11);
  Rng b(11);
  const uint64_t low = a.next_u32();
  const uint64_t high = a.next_u32();
  EXPECT_EQ(b.next_u64(), low | high << 32);
}

TEST(Rng, BelowIsEvenlySpread) {
  Rng rng(17);
  constexpr int kDraws = 60000;
  std::array<int, 6> counts{};
  for (int i = 0; i < kDraws; ++i) ++counts[rng.below(6)];
  double chi_square = 0.0;
  for (const int count : counts) chi_square += (count - kDraws / 6.0) * (count - kDraws / 6.0) / (kDraws / 6.0);
  EXPECT_LT(chi_square, 20.5);  // 5 degrees of freedom: p = 0.001
}

TEST(Rng, BelowRefusesTheDrawsThatWouldBiasIt) {
  // 2^64 mod n is 2^63 - 1 for n = 2^63 + 1: almost half of the draws are thrown away and replaced.
  const uint64_t n = (uint64_t{1} << 63) + 1;
  Rng rng(23);
  for (int i = 0; i < 1000; ++i) ASSERT_LT(rng.below(n), n);
  EXPECT_NEAR(static_cast<double>(rng.position()), 4000.0, 400.0);  // 2 words x 2 tries x 1000; s.d. 90
}

TEST(Rng, BelowOneIsZeroAndBelowZeroIsABug) {
  Rng rng(1);
  EXPECT_EQ(rng.below(1), 0u);
  EXPECT_THROW(rng.below(0), std::logic_error);
}

// The generator of Vigna's splitmix64.c, written as the state that walks by the golden gamma.
uint64_t splitmix_output(uint64_t state) {
  uint64_t z = state + 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

TEST(Stream, KeyIsAChainOfSplitMix64) {
  // First output for the seed 1234567 (published with splitmix64.c ports).
  ASSERT_EQ(splitmix_output(1234567), 6457827717110365317u);
  const uint64_t purpose = splitmix_output(splitmix_output(42) ^ 1);
  const uint64_t first = splitmix_output(purpose ^ 10);
  EXPECT_EQ(Rng::stream(42, Purpose::kTrain, {}).key(), purpose);
  EXPECT_EQ(Rng::stream(42, Purpose::kTrain, {10, 20}).key(), splitmix_output(first ^ 20));
}

TEST(Stream, EveryPartMatters) {
  std::set<uint64_t> keys;
  for (const Purpose purpose : {Purpose::kTrain, Purpose::kEval, Purpose::kInit, Purpose::kShuffle, Purpose::kTask}) {
    for (uint64_t seed = 0; seed < 3; ++seed) {
      keys.insert(Rng::stream(seed, purpose, {}).key());
      for (uint64_t a = 0; a < 3; ++a) {
        keys.insert(Rng::stream(seed, purpose, {a}).key());
        for (uint64_t b = 0; b < 3; ++b) keys.insert(Rng::stream(seed, purpose, {a, b}).key());
      }
    }
  }
  EXPECT_EQ(keys.size(), 5u * 3u * (1u + 3u + 9u));
}

TEST(Permutation, HoldsEveryNumberOnce) {
  std::vector<int64_t> order = permutation(1000, Rng(5));
  std::sort(order.begin(), order.end());
  for (int64_t i = 0; i < 1000; ++i) ASSERT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(Permutation, IsAFunctionOfTheStream) {
  EXPECT_EQ(permutation(50, Rng(1)), permutation(50, Rng(1)));
  EXPECT_NE(permutation(50, Rng(1)), permutation(50, Rng(2)));
}

TEST(Permutation, EveryOrderOfThreeIsAsLikely) {
  std::array<int, 27> counts{};
  constexpr int kDraws = 12000;
  for (int i = 0; i < kDraws; ++i) {
    const std::vector<int64_t> order = permutation(3, Rng(static_cast<uint64_t>(i)));
    ++counts[static_cast<size_t>(order[0] * 9 + order[1] * 3 + order[2])];
  }
  for (const int count : counts) {
    if (count == 0) continue;
    EXPECT_NEAR(count, kDraws / 6, 200);  // 5 standard deviations: sqrt(2000 x 5/6) = 41
  }
  EXPECT_EQ(std::count(counts.begin(), counts.end(), 0), 21);
}

TEST(Permutation, OfNothingIsEmptyAndOfLessIsABug) {
  EXPECT_TRUE(permutation(0, Rng(1)).empty());
  EXPECT_THAT(permutation(1, Rng(1)), ElementsAre(0));
  EXPECT_THROW(permutation(-1, Rng(1)), std::logic_error);
}

}  // namespace
}  // namespace noregret
