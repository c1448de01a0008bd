#if NOREGRET_EMULATED
#include <gmock/gmock.h>

#include <array>
#include <atomic>
#include <vector>

#include "tests/emulation/blocks.h"

namespace emulation {
namespace {

using testing::Each;

Launch of(unsigned num_blocks, int num_threads, unsigned cluster = 1) {
  return {"test", {num_blocks, 1, 1}, {cluster, 1, 1}, num_threads, 16};
}

TEST(Emulation, EveryThreadOfEveryBlockRunsOnce) {
  std::vector<int> runs(6 * 4 * 64);
  run({"test", {3, 2, 4}, {}, 64, 0},
      [&] { ++runs[((place.block.z * 2 + place.block.y) * 3 + place.block.x) * 64 + place.thread.x]; });
  EXPECT_THAT(runs, Each(1));
}

// A block's order shows in what is not behind a barrier, and in nothing that is.
TEST(Emulation, ThreadsGoOnInEitherOrderAndMeetAtBarriers) {
  std::array<std::vector<unsigned>, 2> order;
  std::array<std::atomic<int>, 2> arrived{};
  std::vector<int> seen(2 * 64);
  run(of(2, 64), [&] {
    order[place.block.x].push_back(place.thread.x);
    ++arrived[place.block.x];
    wait_for_block();
    seen[place.block.x * 64 + place.thread.x] = arrived[place.block.x];
  });
  EXPECT_EQ(order[0].front(), 0U);
  EXPECT_EQ(order[1].front(), 63U);
  EXPECT_THAT(seen, Each(64));
}

TEST(Emulation, LanesSeeWhatAllOfTheirWarpGive) {
  std::vector<uint32_t> sums(64);
  run(of(1, 64), [&] {
    for (uint32_t round = 0; round < 3; ++round) {
      const Words* of_lane = exchange({{place.thread.x * round}});
      for (int lane = 0; lane < kLanes; ++lane) sums[place.thread.x] += of_lane[lane].word[0];
    }
  });
  for (uint32_t thread = 0; thread < 64; ++thread) EXPECT_EQ(sums[thread], thread < 32 ? 3U * 496 : 3U * (496 + 1024));
}

TEST(Emulation, AVoteIsOfTheWholeBlock) {
  std::vector<int> all(128), but_one(128);
  run(of(1, 128), [&] {
    all[place.thread.x] = is_all(true);
    but_one[place.thread.x] = is_all(place.thread.x != 77);
  });
  EXPECT_THAT(all, Each(1));
  EXPECT_THAT(but_one, Each(0));
}

TEST(Emulation, BlocksOfAClusterReadEachOthersMemory) {
  std::vector<unsigned> found(8);
  run(of(8, 32, 4), [&] {
    auto* own = static_cast<unsigned*>(shared_memory());
    if (place.thread.x == 0) *own = 100 + place.block.x;
    wait_for_cluster();
    if (place.thread.x == 0) found[place.block.x] = *static_cast<unsigned*>(in_block(own, (block_rank() + 1) % 4));
    wait_for_cluster();
  });
  EXPECT_EQ(found, (std::vector<unsigned>{101, 102, 103, 100, 105, 106, 107, 104}));
}

TEST(EmulationDeathTest, WhatNoKernelMayDoEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(run(of(1, 64),
                   [] {
                     if (place.thread.x < 32)
                       wait_for_block();
                     else
                       exchange({{place.thread.x < 40 ? 1U : (wait_for_block(), 2U)}});
                   }),
               "kernel test: threads wait at a barrier that others never reach");
  EXPECT_DEATH(run(of(1, 32),
                   [] {
                     if (place.thread.x != 5) exchange({{1}});
                   }),
               "kernel test: (a lane leaves|a warp exchanges)");
  EXPECT_DEATH(run({"test", {}, {}, 32, 1 << 20}, [] {}), "kernel test: more shared memory than a block has");
  EXPECT_DEATH(run(of(1, 33), [] {}), "kernel test: its blocks are no whole warps");
  EXPECT_DEATH(run(of(1, 32), [] { wait_for_cluster(); }), "kernel test: has no cluster");
}

}  // namespace
}  // namespace emulation
#endif
