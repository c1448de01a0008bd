#include "noregret/rollout/generator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "noregret/base/error.h"
#include "tests/rollout/tiny_model.h"

namespace noregret {
namespace {

using testing::HasSubstr;

constexpr double kRounding = 1e-4;  // f32 sums in another order: batched with a cache against one sequence without

GenerateOptions options(int64_t max_new_tokens, int64_t max_batch, std::vector<int64_t> stop_ids = {}) {
  return GenerateOptions{max_new_tokens, 1.0, std::move(stop_ids), max_batch};
}

// Prompts of lengths 3, 4, ... 3 + n - 1.
std::vector<GenerateRequest> several(int64_t n, uint64_t num_samples) {
  std::vector<GenerateRequest> requests;
  for (int64_t i = 0; i < n; ++i)
    requests.push_back(tiny_request(tiny_prompt(3 + i, i), num_samples, static_cast<uint64_t>(i)));
  return requests;
}

void expect_teacher_forced(const CausalLm& model, const AdapterStack& stack,
                           const std::vector<GenerateRequest>& requests,
                           const std::vector<std::vector<Completion>>& done, double temperature) {
  for (size_t i = 0; i < requests.size(); ++i) {
    for (const Completion& completion : done[i]) {
      const std::vector<float> want = teacher_forced(model, stack, requests[i].prompt_ids, completion.ids, temperature);
      for (size_t t = 0; t < want.size(); ++t)
        EXPECT_NEAR(completion.logprobs[t], want[t], kRounding) << "request " << i << " token " << t;
    }
  }
}

std::vector<std::vector<int64_t>> ids_of(const std::vector<std::vector<Completion>>& done) {
  std::vector<std::vector<int64_t>> ids;
  for (const auto& group : done) {
    for (const Completion& completion : group) ids.push_back(completion.ids);
  }
  return ids;
}

TEST(Generator, LogprobsOfALoneSequenceAreTeacherForced) {
  const CausalLm model = tiny_model();
  const auto requests = several(1, 1);
  expect_teacher_forced(model, {}, requests, Generator(model, {}, options(20, 1)).generate(requests, {}), 1.0);
}

TEST(Generator, LogprobsAmongSevenOthersAreTeacherForced) {
  const CausalLm model = tiny_model();
  const auto requests = several(8, 1);
  expect_teacher_forced(model, {}, requests, Generator(model, {}, options(20, 8)).generate(requests, {}), 1.0);
}

TEST(Generator, LogprobsAfterRefillsAreTeacherForced) {
  const CausalLm model = tiny_model();
  const auto requests = several(6, 4);
  const auto done = Generator(model, {}, options(20, 3, {1, 2, 3, 4, 5, 6})).generate(requests, {});
  expect_teacher_forced(model, {}, requests, done, 1.0);
}

TEST(Generator, LogprobsAreOfTheTemperedDistribution) {
  const CausalLm model = tiny_model();
  const auto requests = several(4, 2);
  GenerateOptions tempered = options(12, 4);
  tempered.temperature = 0.6;
  expect_teacher_forced(model, {}, requests, Generator(model, {}, tempered).generate(requests, {}), 0.6);
}

TEST(Generator, AdapterTakesPartInEveryToken) {
  const CausalLm model = tiny_model();
  const AdapterOptions adapter_options;
  Adapter adapter = Adapter::create(model.sites(), adapter_options, 3, at::kCPU);
  const at::NoGradGuard no_grad;
  for (const auto& [name, tensor] : adapter.parameters()) {
    if (name.find("lora_B") != std::string::npos) tensor.fill_(0.02);
  }
  const auto requests = several(4, 2);
  const auto done = Generator(model, {&adapter}, options(12, 3)).generate(requests, {});
  expect_teacher_forced(model, {&adapter}, requests, done, 1.0);
  EXPECT_NE(ids_of(done), ids_of(Generator(model, {}, options(12, 3)).generate(requests, {})));
}

TEST(Generator, FreshAdapterChangesNothing) {
  const CausalLm model = tiny_model();
  const Adapter adapter = Adapter::create(model.sites(), AdapterOptions{}, 3, at::kCPU);
  const auto requests = several(3, 2);
  EXPECT_EQ(ids_of(Generator(model, {&adapter}, options(12, 3)).generate(requests, {})),
            ids_of(Generator(model, {}, options(12, 3)).generate(requests, {})));
}

TEST(Generator, CompletionsDoNotDependOnMaxBatch) {
  const CausalLm model = tiny_model();
  const auto requests = several(5, 4);
  const auto want = ids_of(Generator(model, {}, options(16, 64, {1, 2, 3})).generate(requests, {}));
  for (const int64_t max_batch : {1, 2, 3, 7, 20}) {
    EXPECT_EQ(ids_of(Generator(model, {}, options(16, max_batch, {1, 2, 3})).generate(requests, {})), want)
        << "max_batch " << max_batch;
  }
}

TEST(Generator, CompletionsDoNotDependOnTheOrderOfRequests) {
  const CausalLm model = tiny_model();
  auto requests = several(4, 2);
  const auto forwards = Generator(model, {}, options(16, 3)).generate(requests, {});
  std::swap(requests[0], requests[3]);
  const auto swapped = Generator(model, {}, options(16, 3)).generate(requests, {});
  EXPECT_EQ(forwards[0][1].ids, swapped[3][1].ids);
  EXPECT_EQ(forwards[3][0].ids, swapped[0][0].ids);
}

TEST(Generator, SiblingsHaveDifferentStreams) {
  const CausalLm model = tiny_model();
  const auto done = Generator(model, {}, options(16, 4)).generate(several(1, 4), {});
  EXPECT_NE(done[0][0].ids, done[0][1].ids);
  EXPECT_NE(done[0][1].ids, done[0][2].ids);
}

TEST(Generator, PrefillsAGroupOnceWhateverTheFreeRows) {
  const CausalLm model = tiny_model();
  const auto requests = several(3, 8);  // prompts of 3, 4 and 5 tokens
  for (const int64_t max_batch : {1, 3, 5, 8, 64}) {
    GenerateStats stats;
    const auto done = Generator(model, {}, options(6, max_batch, {1, 2})).generate(requests, {}, &stats);
    int64_t num_fed_back = 0;  // every token but a completion's last
    for (const auto& ids : ids_of(done)) num_fed_back += static_cast<int64_t>(ids.size()) - 1;
    EXPECT_EQ(stats.prefill_tokens, 3 + 4 + 5) << "max_batch " << max_batch;
    EXPECT_EQ(stats.decode_tokens, num_fed_back) << "max_batch " << max_batch;
  }
}

TEST(Generator, ManyPromptsArePrefilledInParts) {
  const CausalLm model = tiny_model(50, 256);
  std::vector<GenerateRequest> requests;  // 40 * 200 tokens do not fit one forward
  for (uint64_t i = 0; i < 40; ++i) requests.push_back(tiny_request(tiny_prompt(200, static_cast<int64_t>(i)), 1, i));
  GenerateStats stats;
  const auto done = Generator(model, {}, options(2, 40)).generate(requests, {}, &stats);
  EXPECT_EQ(stats.prefill_tokens, 8000);
  expect_teacher_forced(model, {}, requests, done, 1.0);
}

TEST(Generator, GreedyTakesTheArgMaxOfTheFullForward) {
  const CausalLm model = tiny_model();
  GenerateOptions greedy = options(15, 2);
  greedy.temperature = 0.0;
  const auto requests = several(3, 1);
  const auto done = Generator(model, {}, greedy).generate(requests, {});
  for (size_t i = 0; i < requests.size(); ++i) {
    std::vector<int64_t> ids;
    for (int64_t t = 0; t < 15; ++t) {
      float best = -1e9f;
      int64_t best_id = -1;
      for (int64_t id = 0; id < 50; ++id) {
        std::vector<int64_t> longer = ids;
        longer.push_back(id);
        const float logprob = teacher_forced(model, {}, requests[i].prompt_ids, longer, 1.0).back();
        if (logprob > best) {
          best = logprob;
          best_id = id;
        }
      }
      ids.push_back(best_id);
    }
    EXPECT_EQ(done[i][0].ids, ids);
  }
}

TEST(Generator, CompletionEndsWithItsStopToken) {
  const CausalLm model = tiny_model();
  const std::vector<int64_t> stop_ids = {1, 2, 3, 4, 5, 6, 7, 8};
  int64_t num_stopped = 0;
  for (const auto& group : Generator(model, {}, options(20, 8, stop_ids)).generate(several(6, 4), {})) {
    for (const Completion& completion : group) {
      const bool ends = completion.ids.back() >= 1 && completion.ids.back() <= 8;
      EXPECT_EQ(completion.finish_reason == FinishReason::kStop, ends);
      EXPECT_EQ(completion.ids.size(), completion.logprobs.size());
      for (size_t t = 0; t + 1 < completion.ids.size(); ++t)
        EXPECT_FALSE(completion.ids[t] >= 1 && completion.ids[t] <= 8);
      EXPECT_TRUE(ends || completion.ids.size() == 20u);
      num_stopped += ends;
    }
  }
  EXPECT_GT(num_stopped, 0);
}

TEST(Generator, CompletionOfARequestWithLimitsIsThePrefixOfTheUnlimitedOne) {
  const CausalLm model = tiny_model();
  auto requests = several(2, 4);
  const auto whole = Generator(model, {}, options(16, 3)).generate(requests, {});
  requests[1].max_new_tokens = {1, 16, 5, 9};
  const auto cut = Generator(model, {}, options(16, 3)).generate(requests, {});
  for (size_t k = 0; k < 4; ++k) {
    EXPECT_EQ(cut[0][k].ids, whole[0][k].ids);
    std::vector<int64_t> want = whole[1][k].ids;
    want.resize(static_cast<size_t>(requests[1].max_new_tokens[k]));
    EXPECT_EQ(cut[1][k].ids, want);
    EXPECT_EQ(cut[1][k].finish_reason, FinishReason::kLength);
  }
}

TEST(Generator, OneNewTokenNeedsNoDecodeStep) {
  const CausalLm model = tiny_model();
  GenerateStats stats;
  const auto done = Generator(model, {}, options(1, 2)).generate(several(3, 3), {}, &stats);
  EXPECT_EQ(stats.decode_tokens, 0);
  EXPECT_EQ(ids_of(done).size(), 9u);
  EXPECT_EQ(done[2][2].ids.size(), 1u);
}

TEST(Generator, FillsTheContextToTheLastPosition) {
  const CausalLm model = tiny_model(50, 16);
  const auto done = Generator(model, {}, options(11, 1)).generate({tiny_request(tiny_prompt(5, 0), 1, 0)}, {});
  EXPECT_EQ(done[0][0].ids.size(), 11u);
}

TEST(Generator, PromptBeyondTheContextIsRefusedByName) {
  const CausalLm model = tiny_model(50, 16);
  GenerateRequest request = tiny_request(tiny_prompt(6, 0), 1, 0);
  request.name = "gsm8k/train/3";
  try {
    (void)Generator(model, {}, options(11, 1)).generate({request}, {});
    FAIL() << "no error";
  } catch (const DataError& e) {
    EXPECT_THAT(
        e.what(),
        HasSubstr("gsm8k/train/3: a prompt of 6 tokens and 11 new ones are longer than the model's context of 16"));
  }
}

TEST(Generator, EmptyPromptIsRefused) {
  const CausalLm model = tiny_model();
  try {
    (void)Generator(model, {}, options(4, 1)).generate({tiny_request({}, 1, 0)}, {});
    FAIL() << "no error";
  } catch (const DataError& e) {
    EXPECT_THAT(e.what(), HasSubstr("request 0: the prompt has no tokens"));
  }
}

TEST(Generator, HearsOfEachCompletionOnce) {
  const CausalLm model = tiny_model();
  std::vector<int64_t> finished;
  int64_t num_tokens = 0;
  const auto done =
      Generator(model, {}, options(6, 2)).generate(several(2, 3), [&](int64_t count, int64_t total, int64_t tokens) {
        finished.push_back(count);
        EXPECT_EQ(total, 6);
        num_tokens = tokens;
      });
  EXPECT_THAT(finished, testing::ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_EQ(num_tokens, 36);
}

TEST(Generator, RequestWithoutStreamsGivesNothing) {
  const CausalLm model = tiny_model();
  const auto done = Generator(model, {}, options(4, 2))
                        .generate({tiny_request({1}, 0, 0), tiny_request({2}, 1, 1), tiny_request({3}, 0, 2)}, {});
  EXPECT_TRUE(done[0].empty());
  EXPECT_EQ(done[1].size(), 1u);
  EXPECT_TRUE(done[2].empty());
}

TEST(Generator, MovesWithTheWeights) {
  const CausalLm model = tiny_model();
  Adapter adapter = Adapter::create(model.sites(), AdapterOptions{}, 3, at::kCPU);
  const auto requests = several(2, 2);
  const Generator generator(model, {&adapter}, options(12, 4));
  const auto before = ids_of(generator.generate(requests, {}));
  const at::NoGradGuard no_grad;
  for (const auto& [name, tensor] : adapter.parameters()) tensor.add_(0.05);
  EXPECT_NE(ids_of(generator.generate(requests, {})), before);
}

}  // namespace
}  // namespace noregret
