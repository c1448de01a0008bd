#include "rollout/decoder.h"

#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "noregret/base/check.h"
#include "noregret/rollout/sampler.h"

namespace noregret {
namespace {

// Prompt tokens that are prefilled in one forward, at least one prompt: bounds the memory of activations and attention
// masks.
constexpr int64_t kMaxPrefillTokens = 4096;

// A stopped run is not to wait for a long completion's end.
constexpr double kTellSeconds = 0.1;

void check_finite(const DecodeEngine::Step& step) {
  if (std::find(step.ids.begin(), step.ids.end(), -1) != step.ids.end()) throw_not_finite();
}

// The slot after the held prompt's is for sequences that change places.
int64_t num_slots(int64_t num_rows, const GenerateOptions& options) {
  return num_rows + (options.conversation != nullptr ? 2 : 1);
}

}  // namespace

Decoder::Decoder(const Work& work, int64_t num_rows, int64_t max_length)
    : work_(work), num_rows_(num_rows), cache_(work.model.make_cache(num_slots(num_rows, work.options), max_length)) {
  active_.reserve(num_rows);
  if (work.model.backend() == Backend::kCuda) {
    engine_ = &work.model.decode_engine();
    engine_->begin(work.policy, cache_, work.options.temperature);
  }
  for (const GenerateRequest& request : work.requests) num_total_ += static_cast<int64_t>(request.streams.size());
}

void Decoder::run() {
  admit();
  while (!active_.empty() || !waiting_.empty()) {
    if (!active_.empty()) decode();
    if (!waiting_.empty()) take_replies();
    admit();
    if (work_.on_finished && since_told_.seconds() > kTellSeconds) tell();
  }
}

// Fills free rows until none is free or nobody waits; a sequence may end with its first token and free its row at once.
void Decoder::admit() {
  while (num_free() > 0) {
    skip_empty_requests();
    if (next_request_ == static_cast<int64_t>(work_.requests.size())) return;
    if (next_sample_ > 0) {
      join_from_held();
    } else {
      prefill();
    }
  }
}

void Decoder::skip_empty_requests() {
  while (next_request_ < static_cast<int64_t>(work_.requests.size()) && group_size(next_request_) == 0) {
    ++next_request_;
  }
}

// Takes as many siblings of the next request as there are free rows, and moves the queue on.
Decoder::Join Decoder::take_siblings(int64_t free, int64_t logits_row) {
  const int64_t left = group_size(next_request_) - next_sample_;
  const Join join{next_request_, next_sample_, std::min(left, free), logits_row};
  next_sample_ += join.num_samples;
  if (join.num_samples == left) {
    ++next_request_;
    next_sample_ = 0;
  }
  return join;
}

void Decoder::join_from_held() {
  const Join join = take_siblings(num_free(), 0);
  for (int64_t i = 0; i < join.num_samples; ++i) cache_.copy_slot(num_rows_, num_active() + i);
  start({join}, held_logits_);
  if (next_sample_ == 0) {
    held_logits_ = Tensor();
    cache_.clear(num_rows_);
  }
}

void Decoder::prefill() {
  TokenBatch batch;
  std::vector<int64_t> ids;
  std::vector<int64_t> positions;
  std::vector<Join> joins;
  int64_t row = num_active();
  while (row < end_row() && next_request_ < static_cast<int64_t>(work_.requests.size())) {
    const std::vector<int64_t>& prompt = work_.requests[next_request_].prompt_ids;
    const int64_t length = static_cast<int64_t>(prompt.size());
    if (!joins.empty() && static_cast<int64_t>(ids.size()) + length > kMaxPrefillTokens) break;
    cache_.clear(row);
    batch.segments.push_back(Segment{static_cast<int64_t>(ids.size()), length, -1, row});
    ids.insert(ids.end(), prompt.begin(), prompt.end());
    for (int64_t i = 0; i < length; ++i) positions.push_back(i);
    joins.push_back(take_siblings(end_row() - row, static_cast<int64_t>(joins.size())));
    row += joins.back().num_samples;
    skip_empty_requests();
  }
  const Tensor logits = last_logits(batch, ids, positions);
  stats_.prefill_tokens += static_cast<int64_t>(ids.size());
  for (size_t j = 0; j < joins.size(); ++j) {
    const int64_t first = batch.segments[j].kv_slot;
    for (int64_t i = 1; i < joins[j].num_samples; ++i) cache_.copy_slot(first, first + i);
  }
  if (next_sample_ > 0) {  // the last group waits in part
    cache_.copy_slot(batch.segments.back().kv_slot, num_rows_);
    held_logits_ = logits.narrow(0, joins.back().logits_row, 1).clone();
  }
  start(joins, logits);
}

// The joined sequences become rows from num_active() on, in order, and get their first tokens from the prompts' logits.
void Decoder::start(const std::vector<Join>& joins, const Tensor& logits) {
  std::vector<int64_t> rows;
  const int64_t first = num_active();
  for (const Join& join : joins) {
    const GenerateRequest& request = work_.requests[join.request_idx];
    for (int64_t i = join.first_sample; i < join.first_sample + join.num_samples; ++i) {
      active_.push_back(Sequence{
          &work_.completions[join.request_idx][i], &request.streams[i], static_cast<int64_t>(request.prompt_ids.size()),
          request.max_new_tokens.empty() ? work_.options.max_new_tokens : request.max_new_tokens[i]});
      rows.push_back(join.logits_row);
    }
  }
  accept(logits.index_select(0, to_device(rows)), first);
}

void Decoder::decode() {
  if (engine_ != nullptr) {
    decode_ahead();
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
  accept(last_logits(batch_, ids_, positions_), 0);
}

// Queues the step after the one that is queued, whose tokens are not known yet, and takes that one's tokens meanwhile.
// A sequence that turns out to have ended with them has one token too many queued, which is dropped.
void Decoder::decode_ahead() {
  const std::vector<const Completion*> taken = std::exchange(queued_, {});
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
  finish_rows(0);
}

void Decoder::add_token(int64_t row, int64_t id, float logprob) {
  active_[row].completion->ids.push_back(id);
  active_[row].completion->logprobs.push_back(logprob);
  ++num_tokens_;
}

// Samples one token for each of the rows from `first` on; finished sequences leave.
void Decoder::accept(const Tensor& logits, int64_t first) {
  uniforms_.clear();
  for (int64_t row = first; row < num_active(); ++row) {
    uniforms_.push_back(active_[row].stream->uniform_at(active_[row].completion->ids.size()));
  }
  const Sampled sampled = sample_tokens(logits, work_.options.temperature, uniforms_);
  for (int64_t row = first; row < num_active(); ++row) {
    add_token(row, sampled.ids[row - first], sampled.logprobs[row - first]);
  }
  finish_rows(first);
}

void Decoder::finish_rows(int64_t first) {
  for (int64_t row = num_active() - 1; row >= first;
       --row) {  // from the end, so that a row that moves is one that stays
    if (!is_finished(active_[row])) continue;
    if (work_.options.conversation != nullptr) {
      wait_for_reply(row);
    } else {
      complete(*active_[row].completion);
      remove(row);
    }
  }
}

// With a conversation, whether its turn is.
bool Decoder::is_finished(const Sequence& sequence) const {
  Completion& completion = *sequence.completion;
  const std::vector<int64_t>& stop_ids = work_.options.stop_ids;
  const bool is_stop = std::find(stop_ids.begin(), stop_ids.end(), completion.ids.back()) != stop_ids.end();
  completion.finish_reason = is_stop ? FinishReason::kStop : FinishReason::kLength;
  return is_stop || static_cast<int64_t>(completion.ids.size()) == sequence.max_new_tokens;
}

void Decoder::complete(Completion& completion) {
  if (work_.options.on_completion) work_.options.on_completion(completion);
  ++num_finished_;
  if (work_.on_finished) tell();
}

void Decoder::tell() {
  since_told_ = Stopwatch();
  work_.on_finished(num_finished_, num_total_, num_tokens_);
}

// The last active sequence takes the row's place, so that rows stay dense and attention reads the cache without a
// gather.
void Decoder::remove(int64_t row) {
  const int64_t last = num_active() - 1;
  if (row != last) {
    cache_.move_slot(last, row);
    active_[row] = active_[last];
  } else {
    cache_.clear(row);
  }
  active_.pop_back();
}

void Decoder::wait_for_reply(int64_t row) {
  const int64_t spare = num_rows_ + 1;
  Sequence sequence = active_[row];
  cache_.move_slot(row, spare);
  remove(row);
  cache_.move_slot(spare, num_rows_ - 1 - num_waiting());
  // A step that is queued for it has fed its last token: the cache holds that one, too. What it samples is not wanted.
  std::replace(queued_.begin(), queued_.end(), static_cast<const Completion*>(sequence.completion),
               static_cast<const Completion*>(nullptr));
  sequence.queued_row = -1;
  waiting_.push_back(sequence);
  work_.options.conversation->end_turn(*sequence.completion);
}

// Goes on with the sequences that have their reply; waits for one when there is nothing else to do.
void Decoder::take_replies() {
  int64_t first = num_active();
  int64_t num_new = 0;
  for (const Conversation::Reply& reply : work_.options.conversation->take_replies(active_.empty())) {
    const int64_t spare = num_rows_ + 1;
    const Sequence sequence = take_waiting(reply);  // its keys and values are in the spare slot now
    if (insert(reply, sequence)) {
      num_new += static_cast<int64_t>(reply.ids.size()) + 1;
      cache_.move_slot(spare, num_active());
      active_.push_back(sequence);
    } else {
      complete(*sequence.completion);
      cache_.clear(spare);
    }
    if (num_new < kMaxPrefillTokens) continue;
    resume(first);
    first = num_active();
    num_new = 0;
  }
  if (first < num_active()) resume(first);
}

Decoder::Sequence Decoder::take_waiting(const Conversation::Reply& reply) {
  const auto found = std::find_if(waiting_.begin(), waiting_.end(), [&](const Sequence& sequence) {
    return sequence.completion->request_idx == reply.request_idx && sequence.completion->sample_idx == reply.sample_idx;
  });
  NOREGRET_CHECK(found != waiting_.end(), "a reply to ", reply.request_idx, "#", reply.sample_idx,
                 ", which waits for none");
  const Sequence sequence = *found;
  const int64_t slot = num_rows_ - 1 - (found - waiting_.begin());
  const int64_t last = num_rows_ - num_waiting();
  cache_.move_slot(slot, num_rows_ + 1);
  if (slot != last) cache_.move_slot(last, slot);
  *found = waiting_.back();
  waiting_.pop_back();
  return sequence;
}

// The reply's ids become part of the completion; false when it is over.
bool Decoder::insert(const Conversation::Reply& reply, const Sequence& sequence) {
  if (reply.ids.empty()) return false;
  Completion& completion = *sequence.completion;
  NOREGRET_CHECK(completion.finish_reason == FinishReason::kStop, "a reply to a turn that was cut");
  const auto begin = static_cast<int64_t>(completion.ids.size());
  const auto end = begin + static_cast<int64_t>(reply.ids.size());
  if (end >= sequence.max_new_tokens) {
    completion.finish_reason = FinishReason::kLength;
    return false;
  }
  completion.ids.insert(completion.ids.end(), reply.ids.begin(), reply.ids.end());
  completion.logprobs.resize(completion.ids.size(), std::numeric_limits<float>::quiet_NaN());
  completion.inserted.push_back({begin, end});
  return true;
}

// Feeds what the rows from `first` on hold and their slots do not, and samples the next token of each.
void Decoder::resume(int64_t first) {
  TokenBatch batch;
  std::vector<int64_t> ids;
  std::vector<int64_t> positions;
  for (int64_t row = first; row < num_active(); ++row) {
    const Sequence& sequence = active_[row];
    const std::vector<int64_t>& own = sequence.completion->ids;
    const int64_t fed = cache_.length(row) - sequence.prompt_length;
    const int64_t length = static_cast<int64_t>(own.size()) - fed;
    batch.segments.push_back(Segment{static_cast<int64_t>(ids.size()), length, -1, row});
    ids.insert(ids.end(), own.begin() + fed, own.end());
    for (int64_t i = 0; i < length; ++i) positions.push_back(cache_.length(row) + i);
  }
  stats_.prefill_tokens += static_cast<int64_t>(ids.size());
  accept(last_logits(batch, ids, positions), first);
}

// Of what follows each segment, which its slot appends: [segments, V].
Tensor Decoder::last_logits(TokenBatch& batch, const std::vector<int64_t>& ids, const std::vector<int64_t>& positions) {
  batch.ids = to_device(ids);
  batch.positions = to_device(positions);
  Tensor rows;
  if (ids.size() != batch.segments.size()) {
    std::vector<int64_t> last_rows;
    for (const Segment& segment : batch.segments) last_rows.push_back(segment.begin + segment.length - 1);
    rows = to_device(last_rows);
  }
  return work_.model.logits(work_.model.forward(batch, work_.policy, &cache_, rows), work_.policy);
}

Tensor Decoder::to_device(const std::vector<int64_t>& values) const {
  return at::tensor(values, at::TensorOptions().dtype(at::kLong)).to(work_.model.device());
}

}  // namespace noregret
