#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "noregret/base/error.h"
#include "noregret/base/file.h"
#include "noregret/rollout/batch_source.h"

namespace noregret {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Numbered sums, with or without demonstrations.
class Sums : public TaskSource {
 public:
  Sums(int64_t size, bool has_demonstrations) : size_(size), has_demonstrations_(has_demonstrations) {}
  int64_t size(Split) const override { return size_; }
  Task get(Split, int64_t index) const override {
    Task task;
    task.id = cat("sums/train/", index);
    task.messages = {{"user", cat(index, "+1?\n")}};
    task.reference = cat(index + 1);
    if (has_demonstrations_) task.demonstration = task.reference;
    return task;
  }
  std::string digest() const override { return ""; }

 private:
  int64_t size_;
  bool has_demonstrations_;
};

class DatasetSourceTest : public testing::Test {
 protected:
  DatasetSourceTest()
      : tokenizer_(Tokenizer::load(fs::path(NOREGRET_SOURCE_DIR) / "configs/quickstart/base")),
        chat_(ChatTemplate::pick("none", tokenizer_)) {}
  ~DatasetSourceTest() override { fs::remove(path_); }

  DatasetSource::Setup setup(const std::string& rows) {
    path_ = fs::path(testing::TempDir()) /
            cat("dataset_", testing::UnitTest::GetInstance()->current_test_info()->name(), ".jsonl");
    write_file_atomic(path_, rows);
    DatasetSource::Setup setup = task_setup(nullptr);
    setup.data.path = path_.string();
    return setup;
  }

  DatasetSource::Setup task_setup(const TaskSource* tasks) {
    DatasetSource::Setup setup;
    setup.max_positions = 32;
    setup.tokenizer = &tokenizer_;
    setup.chat = &chat_;
    setup.tasks = tasks;
    setup.data.batch_size = 2;
    setup.seed = 1;
    return setup;
  }

  // The tokens with loss, as text with control tokens, a sequence each.
  std::multiset<std::string> targets(const TrainBatch& batch) const {
    std::multiset<std::string> texts;
    for (const Microbatch& m : batch.microbatches) {
      std::map<int64_t, std::vector<int64_t>> by_sequence;
      for (int64_t i = 0; i < m.num_loss_tokens(); ++i) {
        by_sequence[m.sequence_idx[i].item<int64_t>()].push_back(m.targets[i].item<int64_t>());
      }
      for (const auto& [idx, ids] : by_sequence) texts.insert(tokenizer_.decode(ids));
    }
    return texts;
  }

  std::string error_of(DatasetSource::Setup setup) {
    try {
      DatasetSource(std::move(setup)).next(1);
    } catch (const DataError& e) {
      return e.what();
    }
    return "no error";
  }

  Tokenizer tokenizer_;
  ChatTemplate chat_;
  fs::path path_;
};

TEST_F(DatasetSourceTest, LossIsOnTheCompletionAndItsEndToken) {
  DatasetSource source(setup("{\"prompt\": \"1+1?\\n\", \"completion\": \"2\"}\n"));
  const SourceBatch batch = source.next(1);
  EXPECT_THAT(targets(batch.train), ElementsAre("2<|end|>", "2<|end|>"));  // two epochs in one step of two
}

TEST_F(DatasetSourceTest, MessagesAndPromptRowsMeanTheSame) {
  DatasetSource one(setup("{\"prompt\": \"1+1?\\n\", \"completion\": \"2\"}\n"));
  const SourceBatch a = one.next(1);
  DatasetSource two(
      setup("{\"messages\": [{\"role\": \"user\", \"content\": \"1+1?\\n\"}, {\"role\": \"assistant\", \"content\": "
            "\"2\"}]}\n"));
  const SourceBatch b = two.next(1);
  EXPECT_TRUE(a.train.microbatches[0].tokens.ids.equal(b.train.microbatches[0].tokens.ids));
  EXPECT_TRUE(a.train.microbatches[0].targets.equal(b.train.microbatches[0].targets));
}

TEST_F(DatasetSourceTest, PromptTokensAreInTheBatchWithoutLoss) {
  DatasetSource::Setup one = setup("{\"prompt\": \"1+1?\\n\", \"completion\": \"2\"}\n");
  one.data.batch_size = 1;
  const SourceBatch batch = DatasetSource(one).next(1);
  const Tensor ids = batch.train.microbatches[0].tokens.ids;
  const std::vector<int64_t> list(ids.const_data_ptr<int64_t>(), ids.const_data_ptr<int64_t>() + ids.numel());
  EXPECT_EQ(tokenizer_.decode(list), "1+1?\n2");
  EXPECT_EQ(batch.train.num_loss_tokens, 2);
}

TEST_F(DatasetSourceTest, AnEpochHoldsEveryRowOnce) {
  DatasetSource source(
      setup("{\"prompt\": \"a\", \"completion\": \"1\"}\n{\"prompt\": \"b\", \"completion\": \"2\"}\n"
            "{\"prompt\": \"c\", \"completion\": \"3\"}\n{\"prompt\": \"d\", \"completion\": \"4\"}\n"));
  std::multiset<std::string> seen;
  for (int64_t step = 1; step <= 2; ++step) {
    for (const std::string& text : targets(source.next(step).train)) seen.insert(text);
  }
  EXPECT_THAT(seen, ElementsAre("1<|end|>", "2<|end|>", "3<|end|>", "4<|end|>"));
}

TEST_F(DatasetSourceTest, StepIsAFunctionOfSeedAndStep) {
  const std::string rows =
      "{\"prompt\": \"a\", \"completion\": \"1\"}\n{\"prompt\": \"b\", \"completion\": \"2\"}\n"
      "{\"prompt\": \"c\", \"completion\": \"3\"}\n";
  DatasetSource one(setup(rows));
  (void)one.next(1);
  const SourceBatch a = one.next(2);
  const SourceBatch b = DatasetSource(setup(rows)).next(2);
  EXPECT_TRUE(a.train.microbatches[0].targets.equal(b.train.microbatches[0].targets));
}

TEST_F(DatasetSourceTest, DemonstrationsOfAnEndlessTaskComeInOrder) {
  const Sums tasks(TaskSource::kEndless, true);
  EXPECT_THAT(targets(DatasetSource(task_setup(&tasks)).next(3).train), ElementsAre("5<|end|>", "6<|end|>"));
}

TEST_F(DatasetSourceTest, DemonstrationsOfAFiniteTaskGoRound) {
  const Sums tasks(2, true);
  EXPECT_THAT(targets(DatasetSource(task_setup(&tasks)).next(7).train), ElementsAre("1<|end|>", "2<|end|>"));
}

TEST_F(DatasetSourceTest, TaskWithoutDemonstrationsIsRefused) {
  const Sums tasks(2, false);
  EXPECT_THAT(error_of(task_setup(&tasks)), HasSubstr("sums/train/0: the task has no demonstrations"));
}

TEST_F(DatasetSourceTest, RowWithoutCompletionNamesFileAndLine) {
  const auto bad = setup("{\"prompt\": \"a\", \"completion\": \"1\"}\n\n{\"prompt\": \"b\"}\n");
  EXPECT_THAT(error_of(bad), HasSubstr(path_.string() + ":3: no assistant message to learn from"));
}

TEST_F(DatasetSourceTest, ConversationThatEndsWithTheUserIsRefused) {
  EXPECT_THAT(error_of(setup("{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}\n")),
              HasSubstr(":1: no assistant message"));
}

TEST_F(DatasetSourceTest, WrongTypeNamesFileAndLine) {
  EXPECT_THAT(error_of(setup("{\"prompt\": 5, \"completion\": \"1\"}\n")), HasSubstr(".jsonl:1: key 'prompt'"));
}

TEST_F(DatasetSourceTest, RowBeyondTheContextStopsTheRun) {
  const std::string text(40, 'x');
  EXPECT_THAT(error_of(setup("{\"prompt\": \"a\", \"completion\": \"" + text + "\"}\n")),
              HasSubstr(".jsonl:1: 42 tokens are longer than the model's context of 32"));
}

TEST_F(DatasetSourceTest, RowBeyondTheContextIsSkippedAndCounted) {
  const std::string text(40, 'x');
  auto some =
      setup("{\"prompt\": \"a\", \"completion\": \"" + text + "\"}\n{\"prompt\": \"b\", \"completion\": \"2\"}\n");
  some.data.too_long = "skip";
  const SourceBatch batch = DatasetSource(some).next(1);
  EXPECT_EQ(batch.metrics.get("data/skipped"), 1.0);
  EXPECT_EQ(batch.metrics.get("data/examples"), 2.0);
}

TEST_F(DatasetSourceTest, NothingLeftAfterSkippingIsAnError) {
  auto none = setup("{\"prompt\": \"a\", \"completion\": \"" + std::string(40, 'x') + "\"}\n");
  none.data.too_long = "skip";
  EXPECT_THAT(error_of(none), HasSubstr("no examples left; 1 are longer than the context of 32"));
}

TEST_F(DatasetSourceTest, EmptyFileIsAnError) { EXPECT_THAT(error_of(setup("\n")), HasSubstr("holds no rows")); }

}  // namespace
}  // namespace noregret
