#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "noregret/base/rng.h"
#include "noregret/nn/causal_lm.h"

namespace noregret {

enum class FinishReason { kStop, kLength };
std::string_view finish_reason_name(FinishReason reason);  // "stop", "length"

// One prompt and its G completions: the prompt is prefilled once. `streams` has one random stream a completion.
struct GenerateRequest {
  std::vector<int64_t> prompt_ids;  // not empty
  std::vector<Rng> streams;         // token i of a completion takes draw i of its stream
  std::string name;                 // in error messages; empty = "request <index>"
  // Of each completion, where one has less room than the options give: at most theirs. Empty = theirs.
  std::vector<int64_t> max_new_tokens = {};
};

// Ids [begin, end) of a completion.
struct IdSpan {
  int64_t begin = 0;
  int64_t end = 0;
};

struct Completion {
  int64_t request_idx = 0;
  int64_t sample_idx = 0;
  std::vector<int64_t> ids;     // the stop token included where the finish reason is stop
  std::vector<float> logprobs;  // of each id under the sampling distribution; greedy: under temperature 1
  FinishReason finish_reason = FinishReason::kLength;
  std::vector<IdSpan> inserted = {};  // ids that a conversation put in, in order; their log-probs are NaN
  int64_t num_sampled() const;        // ids that are not inserted
};

// Who answers a completion, so that it goes on after its stop token: an episode of several turns. The ids of a reply
// follow those that were sampled; nothing is tokenized again.
class Conversation {
 public:
  virtual ~Conversation() = default;
  // A turn ended, by a stop token or cut by the limit (finish_reason). Its sampling waits for the reply.
  virtual void end_turn(const Completion& completion) = 0;
  struct Reply {
    int64_t request_idx = 0;
    int64_t sample_idx = 0;
    std::vector<int64_t> ids;  // none = the completion is over, as it is when these leave no room for a token
  };
  // Replies that are there: one to each turn that ended, in any order. With `waits` there is at least one.
  virtual std::vector<Reply> take_replies(bool waits) = 0;
};

struct GenerateOptions {
  int64_t max_new_tokens = 256;
  double temperature = 1.0;  // 0 = greedy
  std::vector<int64_t> stop_ids;
  int64_t max_batch = 64;
  // Given each completion as it ends, while others are still sampled; may be empty.
  std::function<void(const Completion&)> on_completion = {};
  // Borrowed; may be null. max_new_tokens counts sampled and inserted ids.
  Conversation* conversation = nullptr;
};

// Tokens that went through the model.
struct GenerateStats {
  int64_t prefill_tokens = 0;
  int64_t decode_tokens = 0;
};

// Samples completions with a KV cache: sequences join as slots free up and leave as they finish. A completion is a pure
// function of (weights, prompt, stream, options) up to rounding, whatever its batch mates. Knows nothing of rewards.
// Throws DataError when prompt + max_new_tokens is longer than the context, naming the request.
class Generator {
 public:
  Generator(const CausalLm& model, AdapterStack policy, GenerateOptions options);

  // Completions by [request][sample]. `on_finished` (may be empty) hears of each as it ends, and some times a second
  // meanwhile: (finished, total, tokens so far). What it throws ends the call.
  using OnFinished = std::function<void(int64_t, int64_t, int64_t)>;
  // `stats` may be null; else it is added to.
  std::vector<std::vector<Completion>> generate(const std::vector<GenerateRequest>& requests,
                                                const OnFinished& on_finished, GenerateStats* stats = nullptr) const;

 private:
  const CausalLm& model_;
  AdapterStack policy_;
  GenerateOptions options_;
};

}  // namespace noregret
