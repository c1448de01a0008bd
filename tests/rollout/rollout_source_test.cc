#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "noregret/base/error.h"
#include "noregret/base/file.h"
#include "noregret/rollout/batch_source.h"
#include "tests/rollout/tiny_model.h"

namespace noregret {
namespace {

using testing::HasSubstr;

// One-letter questions, all with one reference.
class Letters : public TaskSource {
 public:
  Letters(int64_t size, std::string reference) : size_(size), reference_(std::move(reference)) {}
  int64_t size(Split) const override { return size_; }
  Task get(Split, int64_t index) const override {
    Task task;
    task.id = cat("letters/", index);
    task.messages = {{"user", std::string(1, static_cast<char>('a' + index % 26))}};
    task.reference = reference_;
    return task;
  }
  std::string digest() const override { return ""; }

 private:
  int64_t size_;
  std::string reference_;
};

class RolloutSourceTest : public testing::Test {
 protected:
  RolloutSourceTest()
      : tokenizer_(Tokenizer::load(fs::path(NOREGRET_SOURCE_DIR) / "configs/quickstart/base")),
        chat_(ChatTemplate::pick("none", tokenizer_)),
        model_(tiny_model(258, 64)),
        rubric_({exact_match()}, fs::path(NOREGRET_BUILD_DIR) / "rewards") {}

  static RewardOptions exact_match() {
    RewardOptions options;
    options.plugin = "exact_match";
    return options;
  }

  RolloutSource::Setup setup(const TaskSource& tasks) const {
    RolloutSource::Setup setup;
    setup.context = RolloutContext{&model_, &tokenizer_, &chat_, &tasks, &rubric_, 1};
    setup.rollout.groups = 2;
    setup.rollout.group_size = 32;
    setup.rollout.max_new_tokens = 1;
    setup.rollout.max_batch = 16;
    setup.microbatch_tokens = 64;
    return setup;
  }

  // A text that the first group samples, but not always: as the reference it makes that group mixed.
  std::string sometimes_sampled() const {
    const Letters tasks(TaskSource::kEndless, "nothing");
    const SourceBatch batch = RolloutSource(setup(tasks)).next(1);
    const std::vector<Trajectory>& first = batch.groups[0].trajectories;
    for (const Trajectory& candidate : first) {
      const bool is_plain = candidate.text.size() == 1 && std::isalnum(static_cast<unsigned char>(candidate.text[0]));
      if (is_plain) return candidate.text;
    }
    return "";
  }

  Tokenizer tokenizer_;
  ChatTemplate chat_;
  CausalLm model_;
  Rubric rubric_;
};

std::vector<std::string> texts_of(const SourceBatch& batch) {
  std::vector<std::string> texts;
  for (const TrajectoryGroup& group : batch.groups) {
    for (const Trajectory& trajectory : group.trajectories) texts.push_back(trajectory.text);
  }
  return texts;
}

TEST_F(RolloutSourceTest, AdvantageIsRewardMinusGroupMean) {
  const Letters tasks(TaskSource::kEndless, sometimes_sampled());
  const SourceBatch batch = RolloutSource(setup(tasks)).next(1);
  ASSERT_GT(batch.metrics.get("group/mixed_frac"), 0.0);
  for (const TrajectoryGroup& group : batch.groups) {
    double mean = 0.0;
    for (const Trajectory& t : group.trajectories) mean += t.score.reward / 32.0;
    for (const Trajectory& t : group.trajectories)
      EXPECT_NEAR(t.advantage, t.score.reward - mean, 1e-12);  // f64 rounding
  }
}

TEST_F(RolloutSourceTest, PacksWhatTheGroupsSay) {
  const Letters tasks(TaskSource::kEndless, sometimes_sampled());
  const SourceBatch batch = RolloutSource(setup(tasks)).next(1);
  EXPECT_EQ(batch.train.num_loss_tokens, 64);  // one token a completion, all valid
  EXPECT_EQ(batch.train.num_sequences, 64);
  double weight = 0.0;
  for (const Microbatch& m : batch.train.microbatches) weight += m.weights.sum().item<double>();
  EXPECT_NEAR(weight, 0.0, 1e-5);  // advantages of a group sum to 0; f32 rounding
}

TEST_F(RolloutSourceTest, StepIsAFunctionOfSeedAndStep) {
  const Letters tasks(TaskSource::kEndless, "a");
  RolloutSource::Setup small_batch = setup(tasks);
  small_batch.rollout.max_batch = 5;
  RolloutSource one(setup(tasks));
  (void)one.next(1);
  EXPECT_EQ(texts_of(one.next(2)), texts_of(RolloutSource(small_batch).next(2)));
}

TEST_F(RolloutSourceTest, StepsSampleAnew) {
  const Letters tasks(1, "a");
  RolloutSource::Setup one_group = setup(tasks);
  one_group.rollout.groups = 1;
  RolloutSource source(one_group);
  EXPECT_NE(texts_of(source.next(1)), texts_of(source.next(2)));
}

TEST_F(RolloutSourceTest, ATaskTwiceInAStepSamplesAnew) {
  const Letters tasks(1, "a");  // both groups are task 0
  const SourceBatch batch = RolloutSource(setup(tasks)).next(1);
  const auto texts = texts_of(batch);
  EXPECT_NE(std::vector<std::string>(texts.begin(), texts.begin() + 32),
            std::vector<std::string>(texts.begin() + 32, texts.end()));
}

TEST_F(RolloutSourceTest, TruncatedCompletionsMayBeMasked) {
  const Letters tasks(TaskSource::kEndless, sometimes_sampled());
  RolloutSource::Setup masked = setup(tasks);
  masked.rollout.truncated = "mask";
  const SourceBatch batch = RolloutSource(masked).next(1);
  for (const TrajectoryGroup& group : batch.groups) {
    for (const Trajectory& t : group.trajectories) {
      EXPECT_EQ(t.is_valid, t.completion.finish_reason == FinishReason::kStop);
      EXPECT_EQ(t.score.status, ScoreStatus::kOk);
    }
  }
}

TEST_F(RolloutSourceTest, ShuffledRewardsKeepTheirSumButMove) {
  const Letters tasks(TaskSource::kEndless, sometimes_sampled());
  RolloutSource::Setup control = setup(tasks);
  control.rollout.shuffle_rewards = true;
  const SourceBatch plain = RolloutSource(setup(tasks)).next(1);
  const SourceBatch shuffled = RolloutSource(control).next(1);
  EXPECT_EQ(plain.metrics.get("reward/mean"), shuffled.metrics.get("reward/mean"));
  EXPECT_EQ(texts_of(plain), texts_of(shuffled));
  bool has_moved = false;
  for (size_t g = 0; g < 2; ++g) {
    for (size_t i = 0; i < 32; ++i) {
      has_moved |= plain.groups[g].trajectories[i].advantage != shuffled.groups[g].trajectories[i].advantage;
    }
  }
  EXPECT_TRUE(has_moved);
}

TEST_F(RolloutSourceTest, TextLeavesTheStopTokenOut) {
  const Letters tasks(TaskSource::kEndless, "a");
  RolloutSource::Setup many = setup(tasks);
  many.rollout.groups = 8;
  many.rollout.group_size = 64;
  many.rollout.max_new_tokens = 16;
  int64_t num_stopped = 0;
  for (const TrajectoryGroup& group : RolloutSource(many).next(1).groups) {
    for (const Trajectory& t : group.trajectories) {
      if (t.completion.finish_reason != FinishReason::kStop) continue;
      ++num_stopped;
      EXPECT_EQ(t.completion.ids.back(), 256);
      const std::vector<int64_t> before(t.completion.ids.begin(), t.completion.ids.end() - 1);
      EXPECT_EQ(t.text, tokenizer_.decode(before, true));
    }
  }
  EXPECT_GT(num_stopped, 0);
}

TEST_F(RolloutSourceTest, GroupsNameTheirPolicy) {
  const Adapter adapter = Adapter::create(model_.sites(), AdapterOptions{}, 3, at::kCPU);
  const Letters tasks(TaskSource::kEndless, "a");
  RolloutSource::Setup adapted = setup(tasks);
  adapted.policy = {&adapter};
  const SourceBatch batch = RolloutSource(adapted).next(3);
  EXPECT_EQ(batch.groups[0].adapter_digest, model_.policy_digest({&adapter}));
  EXPECT_EQ(batch.train.policy_digest, batch.groups[0].adapter_digest);
  EXPECT_EQ(batch.groups[0].policy_version, 2);
  EXPECT_EQ(batch.groups[0].prompt_text, "e");  // task (3 - 1) * 2
}

TEST_F(RolloutSourceTest, TimesAreApartFromMetrics) {
  const Letters tasks(TaskSource::kEndless, "a");
  const SourceBatch batch = RolloutSource(setup(tasks)).next(1);
  for (const char* name : {"time/rollout_s", "time/reward_s", "perf/rollout_tokens_per_s"}) {
    EXPECT_TRUE(batch.timing.has(name)) << name;
    EXPECT_FALSE(batch.metrics.has(name)) << name;
  }
}

TEST_F(RolloutSourceTest, ReportsItsProgress) {
  const Letters tasks(TaskSource::kEndless, "a");
  RolloutSource::Setup watched = setup(tasks);
  std::vector<std::string> heard;
  watched.progress = [&](const std::string& phase, int64_t done, int64_t total) {
    heard.push_back(cat(phase, " ", done, "/", total));
  };
  (void)RolloutSource(watched).next(1);
  EXPECT_THAT(heard, testing::Contains("sampling, 64 tokens so far, completions 64/64"));
  EXPECT_EQ(heard.back(), "scoring 64/64");
}

TEST_F(RolloutSourceTest, TaskWithoutTrainingProblemsIsAnError) {
  const Letters tasks(0, "a");
  EXPECT_THROW(RolloutSource(setup(tasks)).next(1), DataError);
}

TEST_F(RolloutSourceTest, PromptBeyondTheContextNamesItsTask) {
  const Letters tasks(TaskSource::kEndless, "a");
  RolloutSource::Setup greedy = setup(tasks);
  greedy.rollout.max_new_tokens = 64;
  try {
    RolloutSource(greedy).next(1);
    FAIL() << "no error";
  } catch (const DataError& e) {
    EXPECT_THAT(e.what(), HasSubstr("letters/0: a prompt of 1 tokens and 64 new ones"));
  }
}

}  // namespace
}  // namespace noregret
