#include "noregret/rollout/packing.h"

#include <ATen/ops/tensor.h>

#include <algorithm>
#include <numeric>

#include "noregret/base/check.h"

namespace noregret {
namespace {

// The columns of a microbatch while it fills.
class Packer {
 public:
  Packer(TrainBatch& batch, int64_t microbatch_tokens, at::Device device, bool has_sampler)
      : batch_(batch), microbatch_tokens_(microbatch_tokens), device_(device), has_sampler_(has_sampler) {}

  int64_t num_tokens() const { return static_cast<int64_t>(ids_.size()); }
  bool fits(int64_t num_more) const { return num_tokens() + num_more <= microbatch_tokens_; }

  // A segment with the first `length` of `ids`; its index. Positions start at `first_position`.
  int64_t add_segment(const std::vector<int64_t>& ids, int64_t length, int64_t first_position, int64_t prefix_segment) {
    segments_.push_back(Segment{num_tokens(), length, prefix_segment, -1});
    ids_.insert(ids_.end(), ids.begin(), ids.begin() + length);
    for (int64_t i = 0; i < length; ++i) positions_.push_back(first_position + i);
    return static_cast<int64_t>(segments_.size()) - 1;
  }

  void add_loss(int64_t row, int64_t target, double weight, int64_t sequence_idx, float sampler_logprob) {
    loss_rows_.push_back(row);
    targets_.push_back(target);
    weights_.push_back(static_cast<float>(weight));
    sequences_.push_back(sequence_idx);
    sampler_logprobs_.push_back(sampler_logprob);
  }

  void close() {
    if (ids_.empty()) return;
    Microbatch microbatch;
    microbatch.tokens.ids = column(ids_, at::kLong);
    microbatch.tokens.positions = column(positions_, at::kLong);
    microbatch.tokens.segments = std::move(segments_);
    microbatch.loss_rows = column(loss_rows_, at::kLong);
    microbatch.targets = column(targets_, at::kLong);
    microbatch.weights = column(weights_, at::kFloat);
    microbatch.sequence_idx = column(sequences_, at::kLong);
    if (has_sampler_) microbatch.sampler_logprobs = column(sampler_logprobs_, at::kFloat);
    batch_.microbatches.push_back(std::move(microbatch));
    segments_.clear();
    sampler_logprobs_.clear();
  }

 private:
  // The values as a tensor on the device; the vector is emptied.
  template <class T>
  Tensor column(std::vector<T>& values, at::ScalarType dtype) const {
    Tensor tensor = at::tensor(values, at::TensorOptions().dtype(dtype)).to(device_);
    values.clear();
    return tensor;
  }

  TrainBatch& batch_;
  int64_t microbatch_tokens_;
  at::Device device_;
  bool has_sampler_;
  std::vector<int64_t> ids_, positions_, loss_rows_, targets_, sequences_;
  std::vector<float> weights_, sampler_logprobs_;
  std::vector<Segment> segments_;
};

// A completion that carries loss, and its number among the step's valid ones.
struct Member {
  const Trajectory* trajectory;
  int64_t sequence_idx;
  // The last token predicts nothing, so it needs no row; the first is predicted by the prompt's last row.
  int64_t num_rows() const { return static_cast<int64_t>(trajectory->completion.ids.size()) - 1; }
};

void add_member(Packer& packer, const Member& member, int64_t prompt_segment, int64_t prompt_last_row,
                int64_t prompt_length) {
  const Completion& completion = member.trajectory->completion;
  const int64_t begin = packer.num_tokens();
  if (member.num_rows() > 0) packer.add_segment(completion.ids, member.num_rows(), prompt_length, prompt_segment);
  auto inserted = completion.inserted.begin();
  for (size_t i = 0; i < completion.ids.size(); ++i) {
    if (inserted != completion.inserted.end() && static_cast<int64_t>(i) == inserted->begin) {
      i = static_cast<size_t>((inserted++)->end);  // not the policy's words: no loss; its own follow
    }
    const int64_t row = i == 0 ? prompt_last_row : begin + static_cast<int64_t>(i) - 1;
    packer.add_loss(row, completion.ids[i], member.trajectory->advantage, member.sequence_idx, completion.logprobs[i]);
  }
}

// Into the open microbatch when the whole group fits, else from a new one on; a group that needs several repeats its
// prompt.
void add_group(Packer& packer, const std::vector<int64_t>& prompt_ids, std::vector<Member> members) {
  const int64_t prompt_length = static_cast<int64_t>(prompt_ids.size());
  int64_t num_tokens = prompt_length;
  for (const Member& member : members) num_tokens += member.num_rows();
  if (!packer.fits(num_tokens)) packer.close();
  // Where the group is split, members of like length share a microbatch: less padding in attention.
  std::stable_sort(members.begin(), members.end(),
                   [](const Member& a, const Member& b) { return a.num_rows() > b.num_rows(); });
  int64_t prompt_segment = -1;
  int64_t prompt_last_row = -1;
  for (const Member& member : members) {
    if (prompt_segment >= 0 && !packer.fits(member.num_rows())) {
      packer.close();
      prompt_segment = -1;
    }
    if (prompt_segment < 0) {
      prompt_segment = packer.add_segment(prompt_ids, prompt_length, 0, -1);
      prompt_last_row = packer.num_tokens() - 1;
    }
    add_member(packer, member, prompt_segment, prompt_last_row, prompt_length);
  }
}

// Rows that an example needs: up to the one that predicts its last loss token; 0 = no loss.
int64_t num_rows(const Example& example) {
  const auto last = std::find(example.has_loss.rbegin(), example.has_loss.rend(), true);
  return std::max<int64_t>(0, example.has_loss.rend() - last - 1);
}

}  // namespace

TrainBatch pack_groups(const std::vector<TrajectoryGroup>& groups, int64_t microbatch_tokens, double temperature,
                       at::Device device, bool keeps_zeros) {
  TrainBatch batch;
  batch.temperature = temperature;
  if (!groups.empty()) batch.policy_digest = groups[0].adapter_digest;
  Packer packer(batch, microbatch_tokens, device, true);
  for (const TrajectoryGroup& group : groups) {
    NOREGRET_CHECK(group.adapter_digest == batch.policy_digest, "groups of one step were sampled from two policies");
    std::vector<Member> members;
    for (const Trajectory& trajectory : group.trajectories) {
      const Completion& completion = trajectory.completion;
      NOREGRET_CHECK(completion.ids.size() == completion.logprobs.size(), completion.ids.size(), " ids, ",
                     completion.logprobs.size(), " logprobs");
      if (!trajectory.is_valid || completion.ids.empty()) continue;
      if (keeps_zeros || trajectory.advantage != 0.0) members.push_back(Member{&trajectory, batch.num_sequences});
      ++batch.num_sequences;
      batch.num_loss_tokens += completion.num_sampled();
    }
    if (!members.empty()) add_group(packer, group.prompt_ids, std::move(members));
  }
  packer.close();
  return batch;
}

TrainBatch pack_examples(const std::vector<Example>& examples, int64_t microbatch_tokens, at::Device device) {
  TrainBatch batch;
  Packer packer(batch, microbatch_tokens, device, false);
  std::vector<size_t> order(examples.size());
  std::iota(order.begin(), order.end(), size_t{0});
  // Like lengths together: less padding in attention.
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return num_rows(examples[a]) > num_rows(examples[b]); });
  for (const size_t idx : order) {
    const Example& example = examples[idx];
    NOREGRET_CHECK(example.has_loss.size() == example.ids.size(), example.has_loss.size(), " and ", example.ids.size());
    NOREGRET_CHECK(example.has_loss.empty() || !example.has_loss[0], "nothing predicts the first token");
    const int64_t length = num_rows(example);
    if (length == 0) continue;
    if (!packer.fits(length)) packer.close();
    const int64_t begin = packer.num_tokens();
    packer.add_segment(example.ids, length, 0, -1);
    for (int64_t i = 1; i <= length; ++i) {
      if (!example.has_loss[i]) continue;
      packer.add_loss(begin + i - 1, example.ids[i], 1.0, static_cast<int64_t>(idx), 0.0f);
      ++batch.num_loss_tokens;
    }
    ++batch.num_sequences;
  }
  packer.close();
  return batch;
}

}  // namespace noregret
