#include "noregret/rollout/packing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace noregret {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<int64_t> ints(const Tensor& tensor) {
  const int64_t* data = tensor.const_data_ptr<int64_t>();
  return {data, data + tensor.numel()};
}

std::vector<float> floats(const Tensor& tensor) {
  const float* data = tensor.const_data_ptr<float>();
  return {data, data + tensor.numel()};
}

Trajectory trajectory(std::vector<int64_t> ids, double advantage, bool is_valid = true) {
  Trajectory t;
  for (size_t i = 0; i < ids.size(); ++i) t.completion.logprobs.push_back(-0.5f * static_cast<float>(ids[i]));
  t.completion.ids = std::move(ids);
  t.is_valid = is_valid;
  t.advantage = advantage;
  return t;
}

TrajectoryGroup group(std::vector<int64_t> prompt_ids, std::vector<Trajectory> trajectories) {
  TrajectoryGroup g;
  g.prompt_ids = std::move(prompt_ids);
  g.trajectories = std::move(trajectories);
  return g;
}

TEST(PackGroups, LaysOutPromptOnceAndCompletionsWithoutTheirLastToken) {
  const TrainBatch batch =
      pack_groups({group({1, 2, 3}, {trajectory({4, 5, 6}, 0.5), trajectory({7, 8}, -0.5)})}, 100, 1.0, at::kCPU);
  ASSERT_EQ(batch.microbatches.size(), 1u);
  const Microbatch& m = batch.microbatches[0];
  EXPECT_THAT(ints(m.tokens.ids), ElementsAre(1, 2, 3, 4, 5, 7));
  EXPECT_THAT(ints(m.tokens.positions), ElementsAre(0, 1, 2, 3, 4, 3));
  ASSERT_EQ(m.tokens.segments.size(), 3u);
  EXPECT_EQ(m.tokens.segments[0].prefix_segment, -1);
  EXPECT_EQ(m.tokens.segments[1].begin, 3);
  EXPECT_EQ(m.tokens.segments[1].length, 2);
  EXPECT_EQ(m.tokens.segments[1].prefix_segment, 0);
  EXPECT_EQ(m.tokens.segments[2].begin, 5);
  EXPECT_EQ(m.tokens.segments[2].length, 1);
  EXPECT_EQ(m.tokens.segments[2].prefix_segment, 0);
}

TEST(PackGroups, FirstTokenIsPredictedByThePromptsLastRow) {
  const TrainBatch batch =
      pack_groups({group({1, 2, 3}, {trajectory({4, 5, 6}, 0.5), trajectory({7, 8}, -0.5)})}, 100, 1.0, at::kCPU);
  const Microbatch& m = batch.microbatches[0];
  EXPECT_THAT(ints(m.loss_rows), ElementsAre(2, 3, 4, 2, 5));
  EXPECT_THAT(ints(m.targets), ElementsAre(4, 5, 6, 7, 8));
}

TEST(PackGroups, InsertedIdsAreReadButCarryNoLoss) {
  Trajectory several = trajectory({4, 5, 20, 21, 6, 22, 7}, 0.5);  // 20 21 and 22 are an environment's
  several.completion.inserted = {{2, 4}, {5, 6}};
  const TrainBatch batch = pack_groups({group({1, 2}, {several, trajectory({8}, -0.5)})}, 100, 1.0, at::kCPU);
  const Microbatch& m = batch.microbatches[0];
  EXPECT_THAT(ints(m.tokens.ids), ElementsAre(1, 2, 4, 5, 20, 21, 6, 22));
  EXPECT_THAT(ints(m.targets), ElementsAre(4, 5, 6, 7, 8));
  EXPECT_THAT(ints(m.loss_rows), ElementsAre(1, 2, 5, 7, 1));
  EXPECT_THAT(floats(m.sampler_logprobs), ElementsAre(-2.0f, -2.5f, -3.0f, -3.5f, -4.0f));
  EXPECT_EQ(batch.num_loss_tokens, 5);
}

TEST(PackGroups, ColumnsCarryAdvantageSequenceAndSamplerLogprob) {
  const TrainBatch batch =
      pack_groups({group({1}, {trajectory({4, 5}, 0.75), trajectory({6}, -0.25)})}, 100, 0.8, at::kCPU);
  const Microbatch& m = batch.microbatches[0];
  EXPECT_THAT(floats(m.weights), ElementsAre(0.75f, 0.75f, -0.25f));
  EXPECT_THAT(ints(m.sequence_idx), ElementsAre(0, 0, 1));
  EXPECT_THAT(floats(m.sampler_logprobs), ElementsAre(-2.0f, -2.5f, -3.0f));
  EXPECT_EQ(batch.temperature, 0.8);
  EXPECT_FALSE(m.ref_logprobs.defined());
}

TEST(PackGroups, OneTokenCompletionNeedsNoRowOfItsOwn) {
  const TrainBatch batch = pack_groups({group({1, 2}, {trajectory({9}, 1.0)})}, 100, 1.0, at::kCPU);
  EXPECT_THAT(ints(batch.microbatches[0].tokens.ids), ElementsAre(1, 2));
  EXPECT_THAT(ints(batch.microbatches[0].loss_rows), ElementsAre(1));
}

TEST(PackGroups, ZeroAdvantageIsLeftOutButCounted) {
  const TrainBatch batch =
      pack_groups({group({1}, {trajectory({4, 5}, 0.0), trajectory({6, 7, 8}, 1.0)})}, 100, 1.0, at::kCPU);
  EXPECT_EQ(batch.num_loss_tokens, 5);
  EXPECT_EQ(batch.num_sequences, 2);
  EXPECT_THAT(ints(batch.microbatches[0].targets), ElementsAre(6, 7, 8));
  EXPECT_THAT(ints(batch.microbatches[0].sequence_idx), ElementsAre(1, 1, 1));
}

TEST(PackGroups, ZeroAdvantageIsKeptWhereTheLossHasAnotherTerm) {
  const TrainBatch batch =
      pack_groups({group({1}, {trajectory({4, 5}, 0.0), trajectory({6}, 1.0)})}, 100, 1.0, at::kCPU, true);
  EXPECT_THAT(ints(batch.microbatches[0].targets), ElementsAre(4, 5, 6));
}

TEST(PackGroups, GroupsOfTwoPoliciesAreABug) {
  std::vector<TrajectoryGroup> groups = {group({1}, {trajectory({4}, 1.0)}), group({1}, {trajectory({4}, 1.0)})};
  groups[0].adapter_digest = groups[1].adapter_digest = "a";
  EXPECT_EQ(pack_groups(groups, 100, 1.0, at::kCPU).policy_digest, "a");
  groups[1].adapter_digest = "b";
  EXPECT_THROW(pack_groups(groups, 100, 1.0, at::kCPU), std::logic_error);
}

TEST(PackGroups, InvalidTrajectoryIsNeitherPackedNorCounted) {
  const TrainBatch batch =
      pack_groups({group({1}, {trajectory({4, 5}, 1.0, false), trajectory({6}, 1.0)})}, 100, 1.0, at::kCPU);
  EXPECT_EQ(batch.num_loss_tokens, 1);
  EXPECT_EQ(batch.num_sequences, 1);
  EXPECT_THAT(ints(batch.microbatches[0].targets), ElementsAre(6));
}

TEST(PackGroups, AllZeroAdvantagesGiveNoMicrobatch) {
  const TrainBatch batch = pack_groups({group({1}, {trajectory({4}, 0.0), trajectory({5}, 0.0)})}, 100, 1.0, at::kCPU);
  EXPECT_THAT(batch.microbatches, IsEmpty());
  EXPECT_EQ(batch.num_loss_tokens, 2);
}

TEST(PackGroups, GroupsShareAMicrobatchUpToTheLimit) {
  // Each group takes 1 + 2 tokens; 6 holds two of the three.
  const auto one = [](int64_t id) { return group({id}, {trajectory({id, id, id}, 1.0)}); };
  const TrainBatch batch = pack_groups({one(1), one(2), one(3)}, 6, 1.0, at::kCPU);
  ASSERT_EQ(batch.microbatches.size(), 2u);
  EXPECT_THAT(ints(batch.microbatches[0].tokens.ids), ElementsAre(1, 1, 1, 2, 2, 2));
  EXPECT_THAT(ints(batch.microbatches[1].tokens.ids), ElementsAre(3, 3, 3));
}

TEST(PackGroups, SplitGroupRepeatsItsPromptAndSortsByLength) {
  // 2 + 1 + 3 + 1 tokens do not fit 5: the longest member first, the short ones together.
  const TrainBatch batch =
      pack_groups({group({1, 2}, {trajectory({3, 3}, 1.0), trajectory({4, 4, 4, 4}, 1.0), trajectory({5, 5}, 1.0)})}, 5,
                  1.0, at::kCPU);
  ASSERT_EQ(batch.microbatches.size(), 2u);
  EXPECT_THAT(ints(batch.microbatches[0].tokens.ids), ElementsAre(1, 2, 4, 4, 4));
  EXPECT_THAT(ints(batch.microbatches[1].tokens.ids), ElementsAre(1, 2, 3, 5));
  EXPECT_THAT(ints(batch.microbatches[1].sequence_idx), ElementsAre(0, 0, 2, 2));
  EXPECT_EQ(batch.num_loss_tokens, 8);
}

TEST(PackGroups, MemberLongerThanTheLimitGoesAlone) {
  const TrainBatch batch =
      pack_groups({group({1, 2}, {trajectory({3, 3, 3, 3}, 1.0), trajectory({4}, -1.0)})}, 3, 1.0, at::kCPU);
  ASSERT_EQ(batch.microbatches.size(), 2u);
  EXPECT_THAT(ints(batch.microbatches[0].tokens.ids), ElementsAre(1, 2, 3, 3, 3));
  EXPECT_THAT(ints(batch.microbatches[1].tokens.ids), ElementsAre(1, 2));
}

TEST(PackExamples, LossOnMarkedTokensOnly) {
  const TrainBatch batch = pack_examples({Example{{1, 2, 3, 4}, {false, false, true, true}}}, 100, at::kCPU);
  const Microbatch& m = batch.microbatches[0];
  EXPECT_THAT(ints(m.tokens.ids), ElementsAre(1, 2, 3));  // the last token predicts nothing
  EXPECT_THAT(ints(m.loss_rows), ElementsAre(1, 2));
  EXPECT_THAT(ints(m.targets), ElementsAre(3, 4));
  EXPECT_THAT(floats(m.weights), ElementsAre(1.0f, 1.0f));
  EXPECT_FALSE(m.sampler_logprobs.defined());
  EXPECT_EQ(batch.num_loss_tokens, 2);
}

TEST(PackExamples, TokensAfterTheLastLossAreLeftOut) {
  const TrainBatch batch = pack_examples({Example{{1, 2, 3, 4, 5}, {false, true, false, false, false}}}, 100, at::kCPU);
  EXPECT_THAT(ints(batch.microbatches[0].tokens.ids), ElementsAre(1));
  EXPECT_THAT(ints(batch.microbatches[0].targets), ElementsAre(2));
}

TEST(PackExamples, PacksLongestFirstAndKeepsSequenceNumbers) {
  const Example small{{1, 2}, {false, true}};
  const Example large{{3, 4, 5, 6}, {false, true, true, true}};
  const TrainBatch batch = pack_examples({small, large, small}, 4, at::kCPU);
  ASSERT_EQ(batch.microbatches.size(), 2u);
  EXPECT_THAT(ints(batch.microbatches[0].tokens.ids), ElementsAre(3, 4, 5, 1));
  EXPECT_THAT(ints(batch.microbatches[0].sequence_idx), ElementsAre(1, 1, 1, 0));
  EXPECT_THAT(ints(batch.microbatches[1].sequence_idx), ElementsAre(2));
  EXPECT_EQ(batch.num_sequences, 3);
}

}  // namespace
}  // namespace noregret
