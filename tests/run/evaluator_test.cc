#include "noregret/run/evaluator.h"

#include "noregret/base/error.h"
#include "tests/run/run_support.h"

namespace noregret {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

// Held-out problems with chosen references; "" makes the reward fail.
class Problems : public TaskSource {
 public:
  explicit Problems(std::vector<std::string> references) : references_(std::move(references)) {}
  int64_t size(Split split) const override {
    return split == Split::kEval ? static_cast<int64_t>(references_.size()) : 0;
  }
  Task get(Split, int64_t index) const override {
    Task task;
    task.id = cat("problems/", index);
    task.messages = {{"user", std::string(1, static_cast<char>('a' + index))}};
    task.reference = references_[static_cast<size_t>(index)];
    return task;
  }
  std::string digest() const override { return ""; }

 private:
  std::vector<std::string> references_;
};

class EvaluatorTest : public RunTest {
 protected:
  EvaluatorTest()
      : config_(rl_config(model_dir())),
        inputs_(load_inputs(config_, plugin_dir())),
        policy_(load_policy(config_, at::kCPU)) {}

  std::vector<Evaluation> evaluate(std::vector<std::string> references, const EvalOptions& options) {
    inputs_.tasks = std::make_unique<Problems>(std::move(references));
    return evaluator(options).run(policy_.stack(), {});
  }
  Evaluator evaluator(const EvalOptions& options) const {
    return Evaluator(rollout_context(inputs_, policy_, 1), options, 1, 64);
  }
  // The greedy completion of each problem, in text.
  std::vector<std::string> greedy_texts(size_t count) {
    const auto evaluations = evaluate(std::vector<std::string>(count, "?"), EvalOptions{});
    std::vector<std::string> texts;
    for (const TrajectoryGroup& group : evaluations.at(0).groups) texts.push_back(group.trajectories.at(0).text);
    return texts;
  }

  RunConfig config_;
  Inputs inputs_;
  Policy policy_;
};

// A reference that exact_match cannot match: it takes blanks off and refuses an empty text.
bool is_matchable(const std::string& text) {
  return !text.empty() && text.find_first_not_of(" \t\r\n\v\f") != std::string::npos;
}

TEST_F(EvaluatorTest, GreedyAccuracyIsTheShareOfRightAnswers) {
  std::vector<std::string> references = greedy_texts(4);
  int num_right = 0;
  for (size_t i = 0; i < references.size(); ++i) {
    const bool is_right = i < 3 && is_matchable(references[i]);
    if (!is_right) references[i] = "another";
    num_right += is_right;
  }
  ASSERT_GT(num_right, 0);
  const std::vector<Evaluation> done = evaluate(references, EvalOptions{});
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0].name, "greedy");
  EXPECT_DOUBLE_EQ(done[0].avg.mean, num_right / 4.0);
  EXPECT_LE(done[0].avg.low, done[0].avg.mean);
  EXPECT_GE(done[0].avg.high, done[0].avg.mean);
  EXPECT_EQ(done[0].accuracy.back(), 0.0);
  EXPECT_THAT(done[0].problem_idx, ElementsAre(0, 1, 2, 3));
}

TEST_F(EvaluatorTest, IsTheSameTwice) {
  EvalOptions options;
  options.samples = 3;
  const auto texts = [&] {
    std::string all;
    for (const Evaluation& evaluation : evaluate({"x", "y"}, options)) {
      for (const TrajectoryGroup& group : evaluation.groups) {
        for (const Trajectory& sample : group.trajectories) all += sample.text + "|";
      }
    }
    return all;
  };
  EXPECT_EQ(texts(), texts());
}

TEST_F(EvaluatorTest, LimitTakesTheFirstProblems) {
  EvalOptions options;
  options.limit = 2;
  EXPECT_EQ(evaluate({"x", "y", "z"}, options)[0].groups.size(), 2u);
  options.limit = 100;
  EXPECT_EQ(evaluate({"x", "y", "z"}, options)[0].groups.size(), 3u);
}

TEST_F(EvaluatorTest, SampledAnswersGiveAverageAndPass) {
  EvalOptions options;
  options.greedy = false;
  options.samples = 200;
  std::vector<std::string> references = greedy_texts(1);
  ASSERT_TRUE(is_matchable(references[0]));
  references.push_back("another");
  const std::vector<Evaluation> done = evaluate(references, options);
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0].name, "sampled");
  EXPECT_EQ(done[0].groups[0].trajectories.size(), 200u);
  EXPECT_GT(done[0].accuracy[0], 0.0);  // the likeliest token, 200 times
  EXPECT_LT(done[0].accuracy[0], 1.0);
  EXPECT_THAT(done[0].pass, ElementsAre(1.0, 0.0));
  EXPECT_DOUBLE_EQ(done[0].pass_at.mean, 0.5);
}

TEST_F(EvaluatorTest, FailedRewardsAreLeftOutAndCounted) {
  const std::vector<Evaluation> done = evaluate({"x", "", "z"}, EvalOptions{});
  EXPECT_EQ(done[0].num_failed, 1);
  EXPECT_EQ(done[0].accuracy.size(), 2u);
  EXPECT_THAT(done[0].problem_idx, ElementsAre(0, 2));
  EXPECT_THAT(evaluation_text(done), HasSubstr("on 2 problems, 1 rewards failed"));
}

TEST_F(EvaluatorTest, WhenAllRewardsFailThereIsNoNumber) {
  const std::string error = message_of<RewardFailureError>([&] { evaluate({"", ""}, EvalOptions{}); });
  EXPECT_THAT(error, AllOf(HasSubstr("all 2 rewards failed"), HasSubstr("reference is empty")));
}

TEST_F(EvaluatorTest, NothingAskedForIsRefused) {
  EvalOptions options;
  options.greedy = false;
  EXPECT_THAT(message_of<ConfigError>([&] { evaluate({"x"}, options); }), HasSubstr("evaluation of nothing"));
}

TEST_F(EvaluatorTest, WantsTasksRewardsAndHeldOutProblems) {
  EXPECT_THAT(message_of<ConfigError>([&] { evaluator(EvalOptions{}); }), HasSubstr("evaluation needs a task"));
  EXPECT_THAT(message_of<ConfigError>([&] { evaluate({}, EvalOptions{}); }), HasSubstr("needs held-out problems"));
  inputs_.rubric.reset();
  EXPECT_THAT(message_of<ConfigError>([&] { evaluate({"x"}, EvalOptions{}); }), HasSubstr("evaluation needs rewards"));
}

TEST_F(EvaluatorTest, ReportsProgressAndStopsWhenItThrows) {
  inputs_.tasks = std::make_unique<Problems>(std::vector<std::string>{"x", "y"});
  std::vector<std::string> phases;
  evaluator(EvalOptions{}).run(policy_.stack(), [&](const std::string& phase, int64_t, int64_t total) {
    EXPECT_EQ(total, 2);
    if (phases.empty() || phases.back() != phase) phases.push_back(phase);
  });
  ASSERT_GE(phases.size(), 2u);
  EXPECT_THAT(phases.front(), HasSubstr("sampling, "));
  EXPECT_EQ(phases.back(), "scoring");
  const auto stop = [](const std::string&, int64_t, int64_t) { throw InterruptedError("stop"); };
  EXPECT_THROW(evaluator(EvalOptions{}).run(policy_.stack(), stop), InterruptedError);
}

Evaluation evaluation_of(std::vector<int64_t> problem_idx, std::vector<double> accuracy) {
  Evaluation evaluation;
  evaluation.name = "greedy";
  evaluation.problem_idx = std::move(problem_idx);
  evaluation.accuracy = std::move(accuracy);
  evaluation.avg = {0.25, 0.125, 0.5};
  return evaluation;
}

TEST(EvaluationMetrics, NameEveryNumber) {
  Evaluation sampled = evaluation_of({0, 1}, {0.5, 0.0});
  sampled.name = "sampled";
  sampled.num_samples = 4;
  sampled.pass_at.mean = 0.75;
  sampled.num_failed = 1;
  const Metrics metrics = evaluation_metrics({evaluation_of({0}, {1.0}), sampled});
  EXPECT_EQ(metrics.get("eval/greedy/avg"), 0.25);
  EXPECT_EQ(metrics.get("eval/greedy/avg_low"), 0.125);
  EXPECT_EQ(metrics.get("eval/greedy/avg_high"), 0.5);
  EXPECT_EQ(metrics.get("eval/greedy/problems"), 1.0);
  EXPECT_FALSE(metrics.has("eval/greedy/pass@1"));
  EXPECT_EQ(metrics.get("eval/sampled/pass@4"), 0.75);
  EXPECT_EQ(metrics.get("eval/sampled/failed"), 1.0);
}

TEST(EvaluationText, IsOneLineEach) {
  Evaluation sampled = evaluation_of({0, 1}, {0.5, 0.0});
  sampled.name = "sampled";
  sampled.num_samples = 4;
  sampled.pass_at = {0.75, 0.5, 1.0};
  EXPECT_EQ(evaluation_text({evaluation_of({0}, {1.0}), sampled}),
            "greedy accuracy 0.250 [0.125, 0.500] on 1 problems\n"
            "sampled avg@4 0.250 [0.125, 0.500], pass@4 0.750 [0.500, 1.000] on 2 problems");
}

TEST(AccuracyChange, PairsTheProblemsThatHaveAScoreInBoth) {
  const auto change =
      accuracy_change(evaluation_of({0, 1, 2, 4}, {0.0, 1.0, 0.5, 0.0}), evaluation_of({1, 2, 3}, {1.0, 1.0, 0.0}));
  ASSERT_TRUE(change);
  EXPECT_DOUBLE_EQ(change->mean, 0.25);  // problem 1: 0, problem 2: 0.5
  EXPECT_GE(change->low, 0.0);
  EXPECT_LE(change->high, 0.5);
}

TEST(AccuracyChange, OfTheSameNumbersIsZero) {
  const Evaluation evaluation = evaluation_of({0, 1}, {0.0, 1.0});
  EXPECT_EQ(accuracy_change(evaluation, evaluation)->high, 0.0);
}

TEST(AccuracyChange, WithoutCommonProblemsIsNothing) {
  EXPECT_FALSE(accuracy_change(evaluation_of({0}, {1.0}), evaluation_of({1}, {1.0})));
}

}  // namespace
}  // namespace noregret
