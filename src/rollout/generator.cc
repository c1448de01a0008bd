#include "noregret/rollout/generator.h"

#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "noregret/base/check.h"
#include "noregret/base/error.h"
#include "noregret/nn/decode_engine.h"
#include "noregret/rollout/sampler.h"
#include "noregret/tensor/cuda.h"

namespace noregret {
namespace {

// Prompt tokens that are prefilled in one forward, at least one prompt: bounds the memory of activations and attention
// masks.
constexpr int64_t kMaxPrefillTokens = 4096;

// A row of the decode batch.
struct Sequence {
  Completion* completion;
  const Rng* stream;
  int64_t prompt_length;
  int64_t max_new_tokens;
  int32_t queued_row = -1;  // its row in the step that is queued, where one is
};

// One call of generate(). Active sequences are rows 0..n-1 and own the cache slots 0..n-1. Slot num_rows_ holds the
// prompt of the one group that is admitted in part: sequences are admitted in order, so there is never a second.
class Decoder {
 public:
  Decoder(const CausalLm& model, const AdapterStack& policy, const GenerateOptions& options,
          const std::vector<GenerateRequest>& requests, std::vector<std::vector<Completion>>& completions,
          int64_t num_rows, int64_t max_length)
      : model_(model),
        policy_(policy),
        options_(options),
        requests_(requests),
        completions_(completions),
        num_rows_(num_rows),
        cache_(model.make_cache(num_rows + 1, max_length)) {
    active_.reserve(num_rows);
    if (model.backend() == Backend::kCuda) {
      engine_ = &model.decode_engine();
      engine_->begin(policy, cache_, options.temperature);
    }
    for (const GenerateRequest& request : requests) num_total_ += static_cast<int64_t>(request.streams.size());
  }

  void run(const Generator::OnFinished& on_finished) {
    admit(on_finished);
    while (!active_.empty()) {
      decode(on_finished);
      admit(on_finished);
    }
  }

  const GenerateStats& stats() const { return stats_; }

 private:
  // Siblings that join together, and the rows that they get.
  struct Join {
    int64_t request_idx;
    int64_t first_sample;
    int64_t num_samples;
    int64_t logits_row;
  };

  int64_t num_active() const { return static_cast<int64_t>(active_.size()); }
  int64_t num_free() const { return num_rows_ - num_active(); }
  int64_t group_size(int64_t request_idx) const { return static_cast<int64_t>(requests_[request_idx].streams.size()); }

  // Fills free rows until none is free or nobody waits; a sequence may end with its first token and free its row at
  // once.
  void admit(const Generator::OnFinished& on_finished) {
    while (num_free() > 0) {
      skip_empty_requests();
      if (next_request_ == static_cast<int64_t>(requests_.size())) return;
      if (next_sample_ > 0) {
        join_from_held(on_finished);
      } else {
        prefill(on_finished);
      }
    }
  }

  void skip_empty_requests() {
    while (next_request_ < static_cast<int64_t>(requests_.size()) && group_size(next_request_) == 0) ++next_request_;
  }

  // Takes as many siblings of the next request as there are free rows, and moves the queue on.
  Join take_siblings(int64_t free, int64_t logits_row) {
    const int64_t left = group_size(next_request_) - next_sample_;
    const Join join{next_request_, next_sample_, std::min(left, free), logits_row};
    next_sample_ += join.num_samples;
    if (join.num_samples == left) {
      ++next_request_;
      next_sample_ = 0;
    }
    return join;
  }

  void join_from_held(const Generator::OnFinished& on_finished) {
    const Join join = take_siblings(num_free(), 0);
    for (int64_t i = 0; i < join.num_samples; ++i) cache_.copy_slot(num_rows_, num_active() + i);
    start({join}, held_logits_, on_finished);
    if (next_sample_ == 0) {
      held_logits_ = Tensor();
      cache_.clear(num_rows_);
    }
  }

  void prefill(const Generator::OnFinished& on_finished) {
    TokenBatch batch;
    std::vector<int64_t> ids;
    std::vector<int64_t> positions;
    std::vector<int64_t> last_rows;
    std::vector<Join> joins;
    int64_t row = num_active();
    while (row < num_rows_ && next_request_ < static_cast<int64_t>(requests_.size())) {
      const std::vector<int64_t>& prompt = requests_[next_request_].prompt_ids;
      const int64_t length = static_cast<int64_t>(prompt.size());
      if (!joins.empty() && static_cast<int64_t>(ids.size()) + length > kMaxPrefillTokens) break;
      cache_.clear(row);
      batch.segments.push_back(Segment{static_cast<int64_t>(ids.size()), length, -1, row});
      ids.insert(ids.end(), prompt.begin(), prompt.end());
      for (int64_t i = 0; i < length; ++i) positions.push_back(i);
      last_rows.push_back(static_cast<int64_t>(ids.size()) - 1);
      joins.push_back(take_siblings(num_rows_ - row, static_cast<int64_t>(joins.size())));
      row += joins.back().num_samples;
      skip_empty_requests();
    }
    const Tensor hidden = forward(batch, ids, positions);
    const Tensor logits = model_.logits(hidden.index_select(0, to_device(last_rows)), policy_);
    stats_.prefill_tokens += static_cast<int64_t>(ids.size());
    for (size_t j = 0; j < joins.size(); ++j) {
      const int64_t first = batch.segments[j].kv_slot;
      for (int64_t i = 1; i < joins[j].num_samples; ++i) cache_.copy_slot(first, first + i);
    }
    if (next_sample_ > 0) {  // the last group waits in part
      cache_.copy_slot(batch.segments.back().kv_slot, num_rows_);
      held_logits_ = logits.narrow(0, joins.back().logits_row, 1).clone();
    }
    start(joins, logits, on_finished);
  }

  // The joined sequences become rows from num_active() on, in order, and get their first tokens from the prompts'
  // logits.
  void start(const std::vector<Join>& joins, const Tensor& logits, const Generator::OnFinished& on_finished) {
    std::vector<int64_t> rows;
    const int64_t first = num_active();
    for (const Join& join : joins) {
      const GenerateRequest& request = requests_[join.request_idx];
      for (int64_t i = join.first_sample; i < join.first_sample + join.num_samples; ++i) {
        active_.push_back(Sequence{
            &completions_[join.request_idx][i], &request.streams[i], static_cast<int64_t>(request.prompt_ids.size()),
            request.max_new_tokens.empty() ? options_.max_new_tokens : request.max_new_tokens[i]});
        rows.push_back(join.logits_row);
      }
    }
    accept(logits.index_select(0, to_device(rows)), first, on_finished);
  }

  void decode(const Generator::OnFinished& on_finished) {
    if (engine_ != nullptr) {
      decode_ahead(on_finished);
      return;
    }
    ids_.clear();
    positions_.clear();
    batch_.segments.clear();
    for (int64_t row = 0; row < num_active(); ++row) {
      const Sequence& sequence = active_[row];
      ids_.push_back(sequence.completion->ids.back());
      positions_.push_back(sequence.prompt_length + static_cast<int64_t>(sequence.completion->ids.size()) - 1);
      batch_.segments.push_back(Segment{row, 1, -1, row});
    }
    stats_.decode_tokens += num_active();
    accept(model_.logits(forward(batch_, ids_, positions_), policy_), 0, on_finished);
  }

  // Queues the step after the one that is queued, whose tokens are not known yet, and takes that one's tokens
  // meanwhile. A sequence that turns out to have ended with them has one token too many queued, which is dropped.
  void decode_ahead(const Generator::OnFinished& on_finished) {
    const std::vector<Completion*> taken = std::exchange(queued_, {});
    std::vector<DecodeRow> rows;
    for (int64_t row = 0; row < num_active(); ++row) {
      Sequence& sequence = active_[row];
      const auto known = static_cast<int64_t>(sequence.completion->ids.size());
      const int64_t num_new = known + (sequence.queued_row >= 0 ? 1 : 0);
      const int32_t from = std::exchange(sequence.queued_row, -1);
      if (num_new == sequence.max_new_tokens) continue;
      sequence.queued_row = static_cast<int32_t>(rows.size());
      rows.push_back({.slot = row,
                      .position = sequence.prompt_length + num_new - 1,
                      .from = from,
                      .token = sequence.completion->ids.back(),
                      .uniform = sequence.stream->uniform_at(static_cast<uint64_t>(num_new))});
      queued_.push_back(sequence.completion);
    }
    if (!rows.empty()) engine_->queue(rows);
    stats_.decode_tokens += static_cast<int64_t>(rows.size());
    if (taken.empty()) return;
    const DecodeEngine::Step step = engine_->take();
    check_finite(step);
    std::map<const Completion*, size_t> row_of;
    for (size_t i = 0; i < taken.size(); ++i) row_of[taken[i]] = i;
    for (int64_t row = num_active() - 1; row >= 0; --row) {
      const auto found = row_of.find(active_[row].completion);
      if (found == row_of.end()) continue;
      add_token(row, step.ids[found->second], step.logprobs[found->second]);
    }
    finish_rows(0, on_finished);
  }

  static void check_finite(const DecodeEngine::Step& step) {
    if (std::find(step.ids.begin(), step.ids.end(), -1) != step.ids.end()) throw_not_finite();
  }

  void add_token(int64_t row, int64_t id, float logprob) {
    active_[row].completion->ids.push_back(id);
    active_[row].completion->logprobs.push_back(logprob);
    ++num_tokens_;
  }

  // Samples one token for each of the rows from `first` on; finished sequences leave.
  void accept(const Tensor& logits, int64_t first, const Generator::OnFinished& on_finished) {
    uniforms_.clear();
    for (int64_t row = first; row < num_active(); ++row) {
      uniforms_.push_back(active_[row].stream->uniform_at(active_[row].completion->ids.size()));
    }
    const Sampled sampled = sample_tokens(logits, options_.temperature, uniforms_);
    for (int64_t row = first; row < num_active(); ++row)
      add_token(row, sampled.ids[row - first], sampled.logprobs[row - first]);
    finish_rows(first, on_finished);
  }

  void finish_rows(int64_t first, const Generator::OnFinished& on_finished) {
    for (int64_t row = num_active() - 1; row >= first;
         --row) {  // from the end, so that a row that moves is one that stays
      if (!is_finished(active_[row])) continue;
      if (options_.on_completion) options_.on_completion(*active_[row].completion);
      remove(row);
      ++num_finished_;
      if (on_finished) on_finished(num_finished_, num_total_, num_tokens_);
    }
  }

  bool is_finished(const Sequence& sequence) const {
    Completion& completion = *sequence.completion;
    const bool is_stop =
        std::find(options_.stop_ids.begin(), options_.stop_ids.end(), completion.ids.back()) != options_.stop_ids.end();
    completion.finish_reason = is_stop ? FinishReason::kStop : FinishReason::kLength;
    return is_stop || static_cast<int64_t>(completion.ids.size()) == sequence.max_new_tokens;
  }

  // The last active sequence takes the row's place, so that rows stay dense and attention reads the cache without a
  // gather.
  void remove(int64_t row) {
    const int64_t last = num_active() - 1;
    if (row != last) {
      cache_.move_slot(last, row);
      active_[row] = active_[last];
    } else {
      cache_.clear(row);
    }
    active_.pop_back();
  }

  Tensor forward(TokenBatch& batch, const std::vector<int64_t>& ids, const std::vector<int64_t>& positions) {
    batch.ids = to_device(ids);
    batch.positions = to_device(positions);
    return model_.forward(batch, policy_, &cache_);
  }

  Tensor to_device(const std::vector<int64_t>& values) const {
    return at::tensor(values, at::TensorOptions().dtype(at::kLong)).to(model_.device());
  }

  const CausalLm& model_;
  const AdapterStack& policy_;
  const GenerateOptions& options_;
  const std::vector<GenerateRequest>& requests_;
  std::vector<std::vector<Completion>>& completions_;
  const int64_t num_rows_;
  KvCache cache_;

  std::vector<Sequence> active_;
  int64_t next_request_ = 0;  // the queue: the next sequence to admit
  int64_t next_sample_ = 0;   // > 0: the request is admitted in part, its prompt held
  Tensor held_logits_;        // [1, V] of the held prompt's last row

  DecodeEngine* engine_ = nullptr;   // on CUDA
  std::vector<Completion*> queued_;  // of the step that is queued, row by row

  TokenBatch batch_;  // of decode steps, kept for its memory
  std::vector<int64_t> ids_;
  std::vector<int64_t> positions_;
  std::vector<float> uniforms_;

  GenerateStats stats_;
  int64_t num_total_ = 0;
  int64_t num_finished_ = 0;
  int64_t num_tokens_ = 0;
};

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
  Decoder decoder(model_, policy_, options_, requests, completions, std::min(options_.max_batch, num_sequences),
                  max_length);
  decoder.run(on_finished);
  if (stats != nullptr) {
    stats->prefill_tokens += decoder.stats().prefill_tokens;
    stats->decode_tokens += decoder.stats().decode_tokens;
  }
  return completions;
}

}  // namespace noregret
