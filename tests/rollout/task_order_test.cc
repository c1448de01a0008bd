#include "rollout/task_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "noregret/rollout/env.h"

namespace noregret {
namespace {

TEST(StepIndices, EndlessSourceIsReadInOrder) {
  EXPECT_THAT(step_indices(TaskSource::kEndless, 7, 3, 4), testing::ElementsAre(8, 9, 10, 11));
}

TEST(StepIndices, EveryEpochHoldsEachIndexOnce) {
  std::vector<int64_t> first_epoch;
  for (int64_t step = 1; step <= 5; ++step) {
    const std::vector<int64_t> part = step_indices(10, 7, step, 2);
    first_epoch.insert(first_epoch.end(), part.begin(), part.end());
  }
  EXPECT_THAT(first_epoch, testing::UnorderedElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
}

TEST(StepIndices, EpochsHaveDifferentOrders) { EXPECT_NE(step_indices(50, 7, 1, 50), step_indices(50, 7, 2, 50)); }

TEST(StepIndices, OrderDependsOnTheSeed) { EXPECT_NE(step_indices(50, 7, 1, 50), step_indices(50, 8, 1, 50)); }

TEST(StepIndices, StepMayCrossAnEpoch) {
  const std::vector<int64_t> crossing = step_indices(10, 7, 2, 8);  // positions 8..15
  const std::vector<int64_t> first = step_indices(10, 7, 1, 10);
  const std::vector<int64_t> second = step_indices(10, 7, 2, 10);
  EXPECT_EQ(crossing, (std::vector<int64_t>{first[8], first[9], second[0], second[1], second[2], second[3], second[4],
                                            second[5]}));
}

TEST(StepIndices, MoreThanAnEpochAStepGoesRound) { EXPECT_EQ(step_indices(3, 7, 1, 9).size(), 9u); }

}  // namespace
}  // namespace noregret
