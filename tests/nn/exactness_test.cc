// The log-probs of a sequence are the same bits whatever computes them: no test here has a tolerance.
#include <ATen/ops/cat.h>
#include <gtest/gtest.h>

#include <map>

#include "noregret/nn/ops.h"
#include "tests/nn/batch_support.h"
#include "tests/nn/engine_support.h"

namespace noregret {
namespace {

// Hidden states of a sequence, and the log-probs of the tokens that follow its rows (of its first after the last).
struct Whole {
  Tensor hidden, logprobs;
};

std::vector<int64_t> following(const std::vector<int64_t>& ids) {
  std::vector<int64_t> next(ids.begin() + 1, ids.end());
  next.push_back(ids[0]);
  return next;
}

// A sequence on its way through a cache.
struct Story {
  std::vector<int64_t> ids;
  std::vector<Tensor> rows;
};

class Exactness : public testing::TestWithParam<EngineShape> {
 protected:
  Exactness()
      : model_(engine_model(GetParam())),
        wide_(engine_adapter(model_, 17, 2)),
        narrow_(engine_adapter(model_, 3, 3, {"q_proj", "v_proj", "down_proj", "lm_head"})),
        stacks_{{}, {&wide_}, {&wide_, &narrow_}} {}

  std::vector<int64_t> some(int64_t length) { return random_ids(length, GetParam().vocab_size, rng_); }
  int64_t between(int64_t low, int64_t high) { return low + static_cast<int64_t>(rng_.below(high - low + 1)); }

  // In a batch of its own, without a cache, in one thread.
  const Whole& alone(size_t stack, const std::vector<int64_t>& ids) {
    Whole& whole = alone_[{stack, ids}];
    if (whole.hidden.defined()) return whole;
    const EngineSetting setting(kernels::supported_isas().back(), 1);
    const at::NoGradGuard no_grad;
    whole.hidden = model_.forward(batch_of({ids}), stacks_[stack], nullptr);
    whole.logprobs =
        model_.token_scores(whole.hidden, at::tensor(following(ids), at::kLong), 1.0, stacks_[stack]).logprobs;
    return whole;
  }

  // `hidden` are the rows of `sequences`, one after the other, from the whole sequences' row `first` on.
  void expect_alone(size_t stack, const Tensor& hidden, const std::vector<std::vector<int64_t>>& sequences,
                    const std::vector<int64_t>& first) {
    std::vector<Tensor> want_hidden, want_logprobs;
    std::vector<int64_t> targets;
    for (size_t i = 0; i < sequences.size(); ++i) {
      const Whole& whole = alone(stack, sequences[i]);
      const int64_t length = whole.hidden.size(0) - first[i];
      want_hidden.push_back(whole.hidden.narrow(0, first[i], length));
      want_logprobs.push_back(whole.logprobs.narrow(0, first[i], length));
      const std::vector<int64_t> next = following(sequences[i]);
      targets.insert(targets.end(), next.begin() + first[i], next.end());
    }
    expect_same_bits(hidden, at::cat(want_hidden), "hidden states");
    const Tensor logprobs = model_.token_scores(hidden, at::tensor(targets, at::kLong), 1.0, stacks_[stack]).logprobs;
    expect_same_bits(logprobs, at::cat(want_logprobs), "log-probs");
  }

  void expect_alone(size_t stack, const Story& story) { expect_alone(stack, at::cat(story.rows), {story.ids}, {0}); }

  // Appends runs to their slots in one forward, and to the stories of the slots.
  void append(size_t stack, KvCache& cache, std::vector<Story>& stories, const std::vector<int64_t>& slots,
              const std::vector<std::vector<int64_t>>& runs) {
    const TokenBatch batch = appended(cache, runs, slots);
    const Tensor hidden = model_.forward(batch, stacks_[stack], &cache);
    for (size_t i = 0; i < runs.size(); ++i) {
      Story& story = stories[slots[i]];
      story.ids = joined_ids(std::move(story.ids), runs[i]);
      story.rows.push_back(hidden.narrow(0, batch.segments[i].begin, batch.segments[i].length));
    }
  }

  template <class Visit>
  void for_each_stack_and_setting(const Visit& visit) {
    const at::NoGradGuard no_grad;
    for (size_t stack = 0; stack < stacks_.size(); ++stack) {
      SCOPED_TRACE(std::to_string(stack) + " adapters");
      for_each_setting([&](size_t index) { visit(stack, index); });
    }
  }

  CausalLm model_;
  Adapter wide_, narrow_;
  std::vector<AdapterStack> stacks_;
  Rng rng_{7};

 private:
  std::map<std::pair<size_t, std::vector<int64_t>>, Whole> alone_;
};

TEST_P(Exactness, BatchesOf1To32InAnyOrderGiveTheBitsOfEachAlone) {
  std::vector<std::vector<int64_t>> sequences;
  for (int64_t i = 0; i < 32; ++i) sequences.push_back(some(i < 4 ? 1 + 16 * i : between(1, 7)));
  for_each_stack_and_setting([&](size_t stack, size_t index) {
    for (size_t size = 1; size <= 32; ++size) {
      if ((size + stack) % num_settings() != index) continue;  // each size in one of the settings
      std::vector<std::vector<int64_t>> batch;
      for (const int64_t i : permutation(32, Rng(size * 100 + index))) {
        if (batch.size() < size) batch.push_back(sequences[i]);
      }
      expect_alone(stack, model_.forward(batch_of(batch), stacks_[stack], nullptr), batch,
                   std::vector<int64_t>(size, 0));
    }
  });
}

TEST_P(Exactness, SharedPrefixesGiveTheBitsOfWholeSequences) {
  std::vector<Family> families;
  for (const int64_t length : {1, 15, 16, 17, 31, 32, 33, 48, 5}) {
    families.push_back({some(length), {}});
    for (int64_t i = between(0, 3); i > 0; --i) families.back().tails.push_back(some(between(1, 12)));
  }
  std::vector<std::vector<int64_t>> sequences;
  std::vector<int64_t> first;
  for (const Family& family : families) {
    sequences.push_back(family.prompt);
    first.push_back(0);
    for (const std::vector<int64_t>& tail : family.tails) {
      sequences.push_back(joined_ids(family.prompt, tail));
      first.push_back(static_cast<int64_t>(family.prompt.size()));
    }
  }
  const TokenBatch batch = batch_of_families(families);
  for_each_stack_and_setting([&](size_t stack, size_t) {
    const Tensor hidden = model_.forward(batch, stacks_[stack], nullptr);
    expect_alone(stack, hidden, sequences, first);
  });
}

TEST_P(Exactness, ChosenRowsHaveTheBitsThatTheyHaveAmongAll) {
  const TokenBatch batch = batch_of_families({{some(17), {some(3), some(16)}}, {some(5), {}}, {some(1), {some(2)}}});
  const int64_t num_rows = batch.num_tokens();
  std::vector<std::vector<int64_t>> choices = {{0}, {num_rows - 1}, {16, 17, 16, 16, 20, 3}};
  choices.push_back(permutation(num_rows, Rng(3)));
  choices.push_back(joined_ids(choices.back(), choices.back()));  // more than there are
  for_each_stack_and_setting([&](size_t stack, size_t) {
    const Tensor all = model_.forward(batch, stacks_[stack], nullptr);
    for (const std::vector<int64_t>& choice : choices) {
      const Tensor rows = at::tensor(choice, at::kLong);
      expect_same_bits(model_.forward(batch, stacks_[stack], nullptr, rows), all.index_select(0, rows), "chosen rows");
    }
    KvCache cache = model_.make_cache(2, 40), twin = model_.make_cache(2, 40);
    const std::vector<std::vector<int64_t>> runs = {some(18), some(7)}, next = {some(1), some(2)};
    const Tensor last = at::tensor({17, 24}, at::kLong);
    expect_same_bits(model_.forward(appended(cache, runs, {0, 1}), stacks_[stack], &cache, last),
                     model_.forward(appended(twin, runs, {0, 1}), stacks_[stack], &twin).index_select(0, last),
                     "last rows of a prefill");
    expect_same_bits(model_.forward(appended(cache, next, {0, 1}), stacks_[stack], &cache),
                     model_.forward(appended(twin, next, {0, 1}), stacks_[stack], &twin), "what follows it");
  });
}

TEST_P(Exactness, AnyCachedPrefixGivesTheBitsOfTheWholeSequence) {
  const std::vector<std::vector<int64_t>> sequences = {some(50), some(33), some(17), some(41)};
  for_each_stack_and_setting([&](size_t stack, size_t index) {
    KvCache cache = model_.make_cache(4, 50);
    std::vector<Story> stories(4);
    const int64_t largest = index % 3 == 0 ? 1 : index % 3 == 1 ? 17 : 40;  // token by token, or in chunks
    while (true) {
      std::vector<int64_t> slots;
      std::vector<std::vector<int64_t>> runs;
      for (const int64_t slot : permutation(4, Rng(rng_.next_u64()))) {
        const std::vector<int64_t>& ids = sequences[slot];
        const auto done = static_cast<int64_t>(stories[slot].ids.size());
        const int64_t length = std::min(between(1, largest), static_cast<int64_t>(ids.size()) - done);
        if (length == 0) continue;
        slots.push_back(slot);
        runs.emplace_back(ids.begin() + done, ids.begin() + done + length);
      }
      if (slots.empty()) break;
      append(stack, cache, stories, slots, runs);
    }
    for (const Story& story : stories) expect_alone(stack, story);
  });
}

TEST_P(Exactness, ForksAtAndBesidePageBoundariesGiveTheBitsOfWholeSequences) {
  size_t turn = 0;  // each length in one of the settings, with each stack in another
  for (const int64_t length : {1, 5, 15, 16, 17, 31, 32, 33}) {
    ++turn;
    const std::vector<int64_t> prompt = some(length), other = some(19);
    const std::vector<std::vector<int64_t>> tails = {some(2), some(18), some(1), some(16)};
    for_each_stack_and_setting([&](size_t stack, size_t index) {
      if ((turn + stack * 2) % num_settings() != index) return;
      SCOPED_TRACE(std::to_string(length) + " tokens before the fork");
      KvCache cache = model_.make_cache(5, 64);
      std::vector<Story> stories(5);
      const auto fork = [&](int64_t from, int64_t to) {
        cache.copy_slot(from, to);
        stories[to] = stories[from];
      };
      append(stack, cache, stories, {0}, {prompt});
      fork(0, 2);
      fork(2, 1);
      append(stack, cache, stories, {2, 0, 1}, {tails[0], tails[1], tails[2]});
      fork(2, 3);  // a fork of a fork
      cache.move_slot(0, 4);
      stories[4] = std::exchange(stories[0], {});
      append(stack, cache, stories, {3, 4, 2}, {tails[3], tails[0], tails[2]});
      expect_alone(stack, stories[1]);
      cache.clear(1);  // its pages go to the next
      stories[1] = {};
      append(stack, cache, stories, {1, 0}, {other, tails[3]});
      append(stack, cache, stories, {2, 1, 3, 0, 4}, {tails[0], tails[1], tails[2], tails[3], tails[2]});
      for (const Story& story : stories) expect_alone(stack, story);
    });
  }
}

TEST_P(Exactness, RandomCacheOperationsGiveTheBitsOfWholeSequences) {
  constexpr int64_t kSlots = 7, kLength = 56;
  for_each_stack_and_setting([&](size_t stack, size_t) {
    KvCache cache = model_.make_cache(kSlots, kLength);
    std::vector<Story> stories(kSlots);
    const auto end = [&](int64_t slot) {
      if (!stories[slot].ids.empty()) expect_alone(stack, stories[slot]);
      stories[slot] = {};
    };
    for (int step = 0; step < 15; ++step) {
      const int64_t from = between(0, kSlots - 1), to = between(0, kSlots - 1);
      if (step % 3 == 1 && from != to) {
        end(to);
        cache.copy_slot(from, to);
        stories[to] = stories[from];
      } else if (step % 6 == 2 && from != to) {
        end(to);
        cache.move_slot(from, to);
        stories[to] = std::exchange(stories[from], {});
      } else if (step % 6 == 5) {
        end(to);
        cache.clear(to);
      } else {
        std::vector<int64_t> slots;
        std::vector<std::vector<int64_t>> runs;
        for (const int64_t slot : permutation(kSlots, Rng(rng_.next_u64()))) {
          const int64_t room = kLength - static_cast<int64_t>(stories[slot].ids.size());
          if (room == 0 || between(0, 2) == 0) continue;
          slots.push_back(slot);
          runs.push_back(some(between(1, std::min<int64_t>(room, between(0, 1) == 0 ? 1 : 20))));
        }
        if (!slots.empty()) append(stack, cache, stories, slots, runs);
      }
    }
    for (int64_t slot = 0; slot < kSlots; ++slot) end(slot);
  });
}

// Completions of each prompt, sampled token by token in one batch, as a rollout does it.
struct Rollout {
  std::vector<Family> families;  // without the last token, which nothing follows
  std::vector<int64_t> targets;  // of each completion in turn
  std::vector<float> logprobs;
};

Rollout roll_out(const CausalLm& model, const AdapterStack& stack, const std::vector<std::vector<int64_t>>& prompts,
                 double temperature, Rng& rng) {
  constexpr int64_t kGroup = 3, kTokens = 5;
  const at::NoGradGuard no_grad;
  const auto num_rows = static_cast<int64_t>(prompts.size()) * kGroup;
  KvCache cache = model.make_cache(num_rows, 72);
  std::vector<int64_t> rows, firsts, slots;
  int64_t end = 0;
  for (size_t p = 0; p < prompts.size(); ++p) {
    end += static_cast<int64_t>(prompts[p].size());
    firsts.push_back(static_cast<int64_t>(p) * kGroup);
    for (int64_t i = 0; i < kGroup; ++i) rows.push_back(end - 1);
  }
  Tensor hidden =
      model.forward(appended(cache, prompts, firsts), stack, &cache).index_select(0, at::tensor(rows, at::kLong));
  for (int64_t row = 0; row < num_rows; ++row) {
    slots.push_back(row);
    cache.copy_slot(row / kGroup * kGroup, row);
  }
  std::vector<std::vector<int64_t>> ids(num_rows);
  std::vector<std::vector<float>> logprobs(num_rows);
  for (int64_t t = 0; t < kTokens; ++t) {
    std::vector<float> uniforms(num_rows), sampled(num_rows);
    std::vector<int64_t> tokens(num_rows);
    for (float& uniform : uniforms) uniform = rng.uniform();
    EXPECT_TRUE(ops::sample(model.logits(hidden, stack), temperature, uniforms.data(), tokens.data(), sampled.data()));
    std::vector<std::vector<int64_t>> last;
    for (int64_t row = 0; row < num_rows; ++row) {
      ids[row].push_back(tokens[row]);
      logprobs[row].push_back(sampled[row]);
      last.push_back({tokens[row]});
    }
    if (t + 1 < kTokens) hidden = model.forward(appended(cache, last, slots), stack, &cache);
  }
  Rollout rollout;
  for (int64_t row = 0; row < num_rows; ++row) {
    if (row % kGroup == 0) rollout.families.push_back({prompts[row / kGroup], {}});
    rollout.families.back().tails.emplace_back(ids[row].begin(), ids[row].end() - 1);
    rollout.targets.insert(rollout.targets.end(), ids[row].begin(), ids[row].end());
    rollout.logprobs.insert(rollout.logprobs.end(), logprobs[row].begin(), logprobs[row].end());
  }
  return rollout;
}

// The learner's log-probs of a rollout, packed with shared prompts, the head in chunks of rows.
Tensor learn(const CausalLm& model, const AdapterStack& stack, const Rollout& rollout, double temperature,
             int64_t chunk) {
  const TokenBatch batch = batch_of_families(rollout.families);
  std::vector<int64_t> rows;
  int64_t last_of_prompt = 0;
  for (const Segment& segment : batch.segments) {
    if (segment.prefix_segment < 0) {
      last_of_prompt = segment.begin + segment.length - 1;
      continue;
    }
    rows.push_back(last_of_prompt);
    for (int64_t i = 0; i < segment.length; ++i) rows.push_back(segment.begin + i);
  }
  const Tensor hidden = model.forward(batch, stack, nullptr).index_select(0, at::tensor(rows, at::kLong));
  const Tensor targets = at::tensor(rollout.targets, at::kLong);
  std::vector<Tensor> logprobs;
  for (int64_t begin = 0; begin < hidden.size(0); begin += chunk) {
    const int64_t length = std::min(chunk, hidden.size(0) - begin);
    logprobs.push_back(
        model.token_scores(hidden.narrow(0, begin, length), targets.narrow(0, begin, length), temperature, stack)
            .logprobs);
  }
  return at::cat(logprobs);
}

Tensor sampled_logprobs(const Rollout& rollout) { return at::tensor(rollout.logprobs, at::kFloat); }

TEST_P(Exactness, TheSamplersLogprobsAreTheLearnersWithGradients) {
  wide_.set_trainable(true);
  for (size_t stack = 0; stack < stacks_.size(); ++stack) {
    for (const double temperature : {1.0, 0.7, 0.0}) {
      if (stack < 2 && temperature != 1.0) continue;
      const double learned_at = temperature == 0.0 ? 1.0 : temperature;  // greedy tokens are scored at 1
      const std::vector<std::vector<int64_t>> prompts = {some(16), some(3), some(29)};
      std::vector<Rollout> rollouts;
      for_each_setting([&](size_t) {
        Rng rng(5);
        rollouts.push_back(roll_out(model_, stacks_[stack], prompts, temperature, rng));
        EXPECT_EQ(rollouts.back().targets, rollouts[0].targets);
        expect_same_bits(sampled_logprobs(rollouts.back()), sampled_logprobs(rollouts[0]), "samplers");
      });
      for_each_setting([&](size_t index) {
        const Tensor logprobs = learn(model_, stacks_[stack], rollouts[rollouts.size() - 1 - index], learned_at,
                                      static_cast<int64_t>(1 + 9 * index));
        EXPECT_EQ(logprobs.requires_grad(), stack > 0);
        expect_same_bits(logprobs, sampled_logprobs(rollouts[0]), "learner");
      });
    }
  }
}

TEST_P(Exactness, AChangedElementOfAnyBChangesSamplerAndLearnerAlike) {
  const std::vector<std::vector<int64_t>> prompts = {some(9), some(16), some(12), some(6)};
  const auto sample = [&] {
    Rng rng(5);
    return roll_out(model_, stacks_[1], prompts, 1.0, rng);
  };
  const Rollout before = sample();
  expect_same_bits(learn(model_, stacks_[1], before, 1.0, 100), sampled_logprobs(before));
  for (const auto& [name, tensor] : wide_.parameters()) {
    if (name.find("lora_B") == std::string::npos) continue;
    const Tensor element = tensor.view({-1}).select(0, tensor.numel() / 2);
    const float kept = element.item<float>();
    element.add_(0.5f);
    const Rollout after = sample();
    EXPECT_NE(after.logprobs, before.logprobs) << name;
    expect_same_bits(learn(model_, stacks_[1], after, 1.0, 100), sampled_logprobs(after), name);
    element.fill_(kept);
    EXPECT_EQ(sample().logprobs, before.logprobs) << name;
  }
}

TEST_P(Exactness, WeightsHeldAsTensorsGiveTheBitsOfPanels) {
  const std::vector<int64_t> ids = some(37);
  const Whole packed = alone(2, ids);
  model_.set_trainable(true);
  for_each_setting([&](size_t) {
    const Tensor hidden = model_.forward(batch_of({ids}), stacks_[2], nullptr);
    EXPECT_TRUE(hidden.requires_grad());
    expect_alone(2, hidden, {ids}, {0});
  });
}

INSTANTIATE_TEST_SUITE_P(Shapes, Exactness, testing::ValuesIn(kEngineShapes),
                         [](const auto& shape) { return std::string(shape.param.name); });

}  // namespace
}  // namespace noregret
