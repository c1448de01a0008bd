#include "noregret/nn/linear.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>

#include "noregret/base/check.h"

namespace noregret {
namespace {

// Of the adapters that the recipe asks for. For more the panels move, and leave holes in the heap.
constexpr int64_t kRoom = 8;

}  // namespace

std::shared_ptr<Linear::Panels> Linear::pack(const Tensor& weight) {
  const Tensor rows = weight.detach().contiguous();
  const bool is_bf16 = rows.scalar_type() == at::kBFloat16;
  auto panels = std::make_shared<Panels>();
  panels->weight = {rows.size(0), rows.size(1), is_bf16 ? kernels::WeightDtype::kBf16 : kernels::WeightDtype::kF32,
                    kRoom};
  if (is_bf16) {
    panels->weight.pack(reinterpret_cast<const uint16_t*>(rows.const_data_ptr()));
  } else {
    panels->weight.pack(rows.to(at::kFloat).contiguous().const_data_ptr<float>(), rows.size(1), 1);
  }
  return panels;
}

Linear::Linear(Tensor weight) : weight_(std::move(weight)), out_(weight_.size(0)), in_(weight_.size(1)) {}

Linear Linear::packed(const Tensor& weight) {
  Linear linear;
  linear.out_ = weight.size(0);
  linear.in_ = weight.size(1);
  linear.panels_ = pack(weight);
  return linear;
}

Tensor Linear::weight() const {
  if (weight_.defined() || panels_ == nullptr) return weight_;
  const Tensor weight = at::empty({out_, in_}, at::kFloat);
  panels_->weight.unpack(0, out_, weight.mutable_data_ptr<float>());
  return weight;
}

Tensor Linear::rows(const Tensor& ids) const {
  if (weight_.defined()) return at::embedding(weight_, ids);
  const Tensor rows = at::empty({ids.size(0), in_}, at::kFloat);
  const int64_t* id = ids.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < ids.size(0); ++i) {
    NOREGRET_CHECK(id[i] >= 0 && id[i] < out_, "id ", id[i], " of ", out_);
    panels_->weight.unpack(id[i], 1, rows.mutable_data_ptr<float>() + i * in_);
  }
  return rows;
}

void Linear::set_trainable(bool is_trainable) {
  if (is_packed() && is_trainable) {
    weight_ = weight();
    panels_ = nullptr;
    transposed_ = nullptr;
    packed_version_ = -1;
  }
  if (weight_.defined()) weight_.requires_grad_(is_trainable);
}

void Linear::move_to(const Tensor& weight) {
  const bool is_trainable = weight_.requires_grad();
  weight_ = weight.detach().requires_grad_(is_trainable);
}

const kernels::PackedMatrix& Linear::panels() const {
  if (weight_.defined() && (panels_ == nullptr || packed_version_ != weight_._version())) {
    panels_ = pack(weight_);
    transposed_ = nullptr;
    packed_version_ = weight_._version();
  }
  return panels_->weight;
}

Linear::Behind& Linear::behind(size_t index, int64_t in) const {
  panels();
  std::deque<Behind>& behind = panels_->behind;
  NOREGRET_CHECK(index <= behind.size(), index, " of ", behind.size());
  if (index < behind.size() && behind[index].matrix.in() == in) return behind[index];
  behind.resize(index);
  behind.emplace_back();
  int64_t first = 0;
  for (size_t i = 0; i < index; ++i) first += behind[i].matrix.in();
  panels_->weight.make_room(first + in);
  first = 0;
  for (size_t i = 0; i <= index; ++i) {  // the room may have moved, with what was in it
    const int64_t size = i < index ? behind[i].matrix.in() : in;
    behind[i].matrix = panels_->weight.in_room(first, size);
    first += size;
  }
  return behind[index];
}

const kernels::PackedMatrix& Linear::transposed_panels(kernels::ThreadPool& pool) const {
  const kernels::PackedMatrix& current = panels();
  if (transposed_ == nullptr) transposed_ = std::make_shared<kernels::PackedMatrix>(current.transposed(pool));
  return *transposed_;
}

}  // namespace noregret
