#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <deque>

#include "tests/rollout/tiny_model.h"

namespace noregret {
namespace {

constexpr double kRounding = 1e-4;  // f32 sums in another order: with a cache against one sequence without
const std::vector<int64_t> kStopIds = {1, 2, 3, 4, 5, 6, 7, 8};

// Answers each turn but the last of `num_turns` with so many ids, a function of the completion and its turn. Replies
// are kept back until `delay` later calls were made, or until they are waited for.
class Echo : public Conversation {
 public:
  Echo(int64_t num_turns, int64_t num_ids, int64_t delay = 0)
      : num_turns_(num_turns), num_ids_(num_ids), delay_(delay) {}

  void end_turn(const Completion& completion) override {
    Reply reply{completion.request_idx, completion.sample_idx, {}};
    const auto turn = static_cast<int64_t>(completion.inserted.size());
    if (turn + 1 < num_turns_ && completion.finish_reason == FinishReason::kStop) {
      for (int64_t i = 0; i < num_ids_; ++i) {
        reply.ids.push_back((completion.request_idx * 11 + completion.sample_idx * 5 + turn * 3 + i * i) % 50);
      }
    }
    open_.push_back({reply, delay_});
  }

  std::vector<Reply> take_replies(bool waits) override {
    num_waits += waits;
    std::vector<Reply> replies;
    while (!open_.empty() && (open_.front().calls_left-- <= 0 || (waits && replies.empty()))) {
      replies.push_back(open_.front().reply);
      open_.pop_front();
    }
    return replies;
  }

  int64_t num_waits = 0;

 private:
  struct Open {
    Reply reply;
    int64_t calls_left;
  };
  int64_t num_turns_, num_ids_, delay_;
  std::deque<Open> open_;
};

std::vector<GenerateRequest> requests_of(int64_t n, uint64_t num_samples) {
  std::vector<GenerateRequest> requests;
  for (int64_t i = 0; i < n; ++i) {
    requests.push_back(tiny_request(tiny_prompt(3 + i, i), num_samples, static_cast<uint64_t>(i)));
  }
  return requests;
}

std::vector<std::vector<Completion>> converse(const CausalLm& model, const std::vector<GenerateRequest>& requests,
                                              Conversation& conversation, int64_t max_batch, int64_t max_new_tokens,
                                              GenerateStats* stats = nullptr) {
  GenerateOptions options{max_new_tokens, 1.0, kStopIds, max_batch};
  options.conversation = &conversation;
  return Generator(model, {}, options).generate(requests, {}, stats);
}

std::vector<bool> is_inserted(const Completion& completion) {
  std::vector<bool> inserted(completion.ids.size());
  for (const IdSpan& span : completion.inserted) {
    for (int64_t i = span.begin; i < span.end; ++i) inserted[static_cast<size_t>(i)] = true;
  }
  return inserted;
}

void expect_same(const Completion& a, const Completion& b) {
  EXPECT_EQ(a.ids, b.ids);
  ASSERT_EQ(a.logprobs.size(), b.logprobs.size());
  EXPECT_EQ(std::memcmp(a.logprobs.data(), b.logprobs.data(), a.logprobs.size() * sizeof(float)), 0);
  EXPECT_EQ(a.finish_reason, b.finish_reason);
}

TEST(Conversation, LogprobsAreOfTheWholeSequence) {
  const CausalLm model = tiny_model(50, 128);
  const auto requests = requests_of(4, 3);
  Echo echo(4, 5);
  int64_t num_replies = 0;
  const auto done = converse(model, requests, echo, 5, 80);
  for (size_t i = 0; i < done.size(); ++i) {
    for (const Completion& completion : done[i]) {
      const std::vector<float> want = teacher_forced(model, {}, requests[i].prompt_ids, completion.ids, 1.0);
      const std::vector<bool> inserted = is_inserted(completion);
      num_replies += static_cast<int64_t>(completion.inserted.size());
      for (size_t t = 0; t < want.size(); ++t) {
        if (inserted[t]) {
          EXPECT_TRUE(std::isnan(completion.logprobs[t]));
        } else {
          EXPECT_NEAR(completion.logprobs[t], want[t], kRounding) << "request " << i << " token " << t;
        }
      }
    }
  }
  EXPECT_GT(num_replies, 12);
}

TEST(Conversation, RepliesFollowAStopTokenAndHoldTheirIds) {
  const CausalLm model = tiny_model(50, 128);
  Echo echo(3, 4);
  for (const auto& group : converse(model, requests_of(3, 2), echo, 4, 80)) {
    for (const Completion& completion : group) {
      for (size_t k = 0; k < completion.inserted.size(); ++k) {
        const IdSpan& span = completion.inserted[k];
        EXPECT_THAT(kStopIds, testing::Contains(completion.ids[static_cast<size_t>(span.begin - 1)]));
        ASSERT_EQ(span.end - span.begin, 4);
        EXPECT_EQ(completion.ids[static_cast<size_t>(span.begin)],
                  (completion.request_idx * 11 + completion.sample_idx * 5 + static_cast<int64_t>(k) * 3) % 50);
      }
      EXPECT_EQ(completion.num_sampled(), static_cast<int64_t>(completion.ids.size() - 4 * completion.inserted.size()));
    }
  }
}

TEST(Conversation, BitsDoNotDependOnBatchOrOnWhenRepliesCome) {
  const CausalLm model = tiny_model(50, 128);
  const auto requests = requests_of(5, 3);
  Echo at_once(4, 6);
  const auto want = converse(model, requests, at_once, 64, 90);
  for (const int64_t max_batch : {1, 2, 3, 7}) {
    for (const int64_t delay : {0, 1, 5, 1000}) {
      SCOPED_TRACE(cat("max_batch ", max_batch, ", delay ", delay));
      Echo late(4, 6, delay);
      const auto done = converse(model, requests, late, max_batch, 90);
      for (size_t i = 0; i < want.size(); ++i) {
        for (size_t k = 0; k < want[i].size(); ++k) expect_same(done[i][k], want[i][k]);
      }
      if (delay == 1000) {
        EXPECT_GT(late.num_waits, 0);
      }
    }
  }
}

TEST(Conversation, ACacheOfSlabsGivesTheSame) {
  HfConfig config = tiny_model(50, 128).config();
  const CausalLm kernels = CausalLm::create(config, 0.3, 1, at::kCPU, Backend::kKernels);
  const CausalLm aten = CausalLm::create(config, 0.3, 1, at::kCPU, Backend::kAten);
  Echo one(3, 5, 1), other(3, 5, 1);
  const auto requests = requests_of(3, 2);
  const auto a = converse(kernels, requests, one, 3, 80), b = converse(aten, requests, other, 3, 80);
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t k = 0; k < a[i].size(); ++k) EXPECT_EQ(a[i][k].ids, b[i][k].ids);
  }
}

TEST(Conversation, NothingIsFedTwice) {
  const CausalLm model = tiny_model(50, 128);
  const auto requests = requests_of(3, 4);  // prompts of 3, 4 and 5 tokens
  for (const int64_t max_batch : {1, 3, 64}) {
    Echo echo(4, 5, 2);
    GenerateStats stats;
    const auto done = converse(model, requests, echo, max_batch, 80, &stats);
    int64_t num_fed = 3 + 4 + 5;
    for (const auto& group : done) {
      for (const Completion& completion : group) num_fed += static_cast<int64_t>(completion.ids.size()) - 1;
    }
    EXPECT_EQ(stats.prefill_tokens + stats.decode_tokens, num_fed) << "max_batch " << max_batch;
  }
}

TEST(Conversation, AReplyWithoutRoomEndsTheCompletion) {
  const CausalLm model = tiny_model(50, 128);
  Echo endless(1000, 7);
  for (const auto& group : converse(model, requests_of(4, 3), endless, 6, 30)) {
    for (const Completion& completion : group) {
      EXPECT_LE(completion.ids.size(), 30u);
      EXPECT_EQ(completion.finish_reason, FinishReason::kLength);
      if (!completion.inserted.empty()) {
        EXPECT_LT(completion.inserted.back().end, static_cast<int64_t>(completion.ids.size()));
      }
    }
  }
}

TEST(Conversation, OfOneTurnChangesNothing) {
  const CausalLm model = tiny_model();
  const auto requests = requests_of(3, 3);
  Echo echo(1, 5);
  const auto done = converse(model, requests, echo, 4, 20);
  const auto plain = Generator(model, {}, GenerateOptions{20, 1.0, kStopIds, 4}).generate(requests, {});
  for (size_t i = 0; i < done.size(); ++i) {
    for (size_t k = 0; k < done[i].size(); ++k) expect_same(done[i][k], plain[i][k]);
  }
}

TEST(Conversation, EachCompletionIsToldOnceWhenItIsOver) {
  const CausalLm model = tiny_model(50, 128);
  Echo echo(3, 5, 1);
  GenerateOptions options{80, 1.0, kStopIds, 4};
  options.conversation = &echo;
  std::vector<std::pair<int64_t, int64_t>> told;
  options.on_completion = [&](const Completion& done) { told.emplace_back(done.request_idx, done.sample_idx); };
  (void)Generator(model, {}, options).generate(requests_of(3, 3), {});
  std::sort(told.begin(), told.end());
  EXPECT_EQ(told.size(), 9u);
  EXPECT_EQ(std::unique(told.begin(), told.end()), told.end());
}

}  // namespace
}  // namespace noregret
