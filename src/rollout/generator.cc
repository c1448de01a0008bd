#include "noregret/rollout/generator.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "noregret/base/check.h"
#include "noregret/base/error.h"
#include "noregret/tensor/cuda.h"
#include "rollout/decoder.h"

namespace noregret {
namespace {

// The longest prompt. Throws when a request does not fit the context.
int64_t check_requests(const std::vector<GenerateRequest>& requests, int64_t max_new_tokens, int64_t max_positions) {
  int64_t longest = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    const int64_t length = static_cast<int64_t>(requests[i].prompt_ids.size());
    const std::string name = requests[i].name.empty() ? cat("request ", i) : requests[i].name;
    if (length == 0) throw DataError(name + ": the prompt has no tokens, want at least one");
    for (const int64_t limit : requests[i].max_new_tokens) NOREGRET_CHECK(limit >= 1 && limit <= max_new_tokens, limit);
    NOREGRET_CHECK(requests[i].max_new_tokens.empty() ||
                   requests[i].max_new_tokens.size() == requests[i].streams.size());
    if (length + max_new_tokens > max_positions) {
      throw DataError(cat(name, ": a prompt of ", length, " tokens and ", max_new_tokens,
                          " new ones are longer than the model's context of ", max_positions,
                          "; lower max_new_tokens or shorten the prompt"));
    }
    longest = std::max(longest, length);
  }
  return longest;
}

}  // namespace

std::string_view finish_reason_name(FinishReason reason) { return reason == FinishReason::kStop ? "stop" : "length"; }

int64_t Completion::num_sampled() const {
  int64_t count = static_cast<int64_t>(ids.size());
  for (const IdSpan& span : inserted) count -= span.end - span.begin;
  return count;
}

Generator::Generator(const CausalLm& model, AdapterStack policy, GenerateOptions options)
    : model_(model), policy_(std::move(policy)), options_(std::move(options)) {
  NOREGRET_CHECK(options_.max_new_tokens >= 1 && options_.max_batch >= 1 && options_.temperature >= 0);
}

std::vector<std::vector<Completion>> Generator::generate(const std::vector<GenerateRequest>& requests,
                                                         const OnFinished& on_finished, GenerateStats* stats) const {
  const at::NoGradGuard no_grad;
  std::optional<SideStream> side_stream;
  if (model_.backend() == Backend::kCuda) side_stream.emplace(model_.device());
  const int64_t longest = check_requests(requests, options_.max_new_tokens, model_.config().max_positions);
  std::vector<std::vector<Completion>> completions(requests.size());
  int64_t num_sequences = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    completions[i].resize(requests[i].streams.size());
    for (size_t k = 0; k < completions[i].size(); ++k) {
      completions[i][k].request_idx = static_cast<int64_t>(i);
      completions[i][k].sample_idx = static_cast<int64_t>(k);
    }
    num_sequences += static_cast<int64_t>(requests[i].streams.size());
  }
  if (num_sequences == 0) return completions;
  // The last new token is never fed back, so its keys and values need no room.
  const int64_t max_length = longest + options_.max_new_tokens - 1;
  Decoder decoder({model_, policy_, options_, requests, completions, on_finished},
                  std::min(options_.max_batch, num_sequences), max_length);
  decoder.run();
  if (stats != nullptr) {
    stats->prefill_tokens += decoder.stats().prefill_tokens;
    stats->decode_tokens += decoder.stats().decode_tokens;
  }
  return completions;
}

}  // namespace noregret
