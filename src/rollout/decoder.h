#pragma once

#include <cstdint>
#include <vector>

#include "noregret/base/clock.h"
#include "noregret/nn/decode_engine.h"
#include "noregret/rollout/generator.h"

namespace noregret {

// One call of Generator::generate(). Active sequences are rows 0..n-1 and own the cache slots 0..n-1; those that wait
// for a reply own the last ones of the num_rows, from the back. Slot num_rows_ holds the prompt of the one group that
// is admitted in part: sequences are admitted in order, so there is never a second.
class Decoder {
 public:
  // Everything is borrowed.
  struct Work {
    const CausalLm& model;
    const AdapterStack& policy;
    const GenerateOptions& options;
    const std::vector<GenerateRequest>& requests;
    std::vector<std::vector<Completion>>& completions;
    const Generator::OnFinished& on_finished;
  };
  Decoder(const Work& work, int64_t num_rows, int64_t max_length);

  void run();
  const GenerateStats& stats() const { return stats_; }

 private:
  // A row of the decode batch.
  struct Sequence {
    Completion* completion;
    const Rng* stream;
    int64_t prompt_length;
    int64_t max_new_tokens;
    int32_t queued_row = -1;  // its row in the step that is queued, where one is
  };
  // Siblings that join together, and the rows that they get.
  struct Join {
    int64_t request_idx;
    int64_t first_sample;
    int64_t num_samples;
    int64_t logits_row;
  };

  int64_t num_active() const { return static_cast<int64_t>(active_.size()); }
  int64_t num_waiting() const { return static_cast<int64_t>(waiting_.size()); }
  int64_t end_row() const { return num_rows_ - num_waiting(); }  // of what may be active
  int64_t num_free() const { return end_row() - num_active(); }
  int64_t group_size(int64_t request_idx) const {
    return static_cast<int64_t>(work_.requests[request_idx].streams.size());
  }

  void admit();
  void skip_empty_requests();
  Join take_siblings(int64_t free, int64_t logits_row);
  void join_from_held();
  void prefill();
  void start(const std::vector<Join>& joins, const Tensor& logits);

  void decode();
  void decode_ahead();
  void add_token(int64_t row, int64_t id, float logprob);
  void accept(const Tensor& logits, int64_t first);

  void finish_rows(int64_t first);
  bool is_finished(const Sequence& sequence) const;
  void complete(Completion& completion);
  void tell();
  void remove(int64_t row);
  void wait_for_reply(int64_t row);
  void take_replies();
  Sequence take_waiting(const Conversation::Reply& reply);
  bool insert(const Conversation::Reply& reply, const Sequence& sequence);
  void resume(int64_t first);

  Tensor last_logits(TokenBatch& batch, const std::vector<int64_t>& ids, const std::vector<int64_t>& positions);
  Tensor to_device(const std::vector<int64_t>& values) const;

  const Work work_;
  const int64_t num_rows_;
  KvCache cache_;

  std::vector<Sequence> active_;
  std::vector<Sequence> waiting_;  // number i is in slot num_rows_ - 1 - i
  int64_t next_request_ = 0;       // the queue: the next sequence to admit
  int64_t next_sample_ = 0;        // > 0: the request is admitted in part, its prompt held
  Tensor held_logits_;             // [1, V] of the held prompt's last row

  DecodeEngine* engine_ = nullptr;         // on CUDA
  std::vector<const Completion*> queued_;  // of the step that is queued, row by row; null = no longer wanted

  TokenBatch batch_;  // of decode steps, kept for its memory
  std::vector<int64_t> ids_;
  std::vector<int64_t> positions_;
  std::vector<float> uniforms_;

  Stopwatch since_told_;
  GenerateStats stats_;
  int64_t num_total_ = 0;
  int64_t num_finished_ = 0;
  int64_t num_tokens_ = 0;
};

}  // namespace noregret
