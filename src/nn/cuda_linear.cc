#include "nn/cuda_linear.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "noregret/base/check.h"
#include "noregret/base/file.h"
#include "noregret/base/text.h"
#include "noregret/tensor/cuda.h"

namespace noregret {

namespace cuda = kernels::cuda;

namespace {

using cuda::Bf16;

// Numbers of rows that exact products are made with: others are cut and padded to these.
constexpr int64_t kExactSizes[] = {16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192};
constexpr int64_t kReferenceSize = 256;
constexpr int64_t kMaxExactLogits = 1024;
constexpr int64_t kProbedRows = 16;

int64_t padded(int64_t size) { return (size + 7) / 8 * 8; }

Tensor padded_rows(const Tensor& x, int64_t num_rows) {
  if (x.size(0) == num_rows) return x;
  return at::constant_pad_nd(x, {0, 0, 0, num_rows - x.size(0)});
}

}  // namespace

Bf16* bf16_data(const Tensor& tensor) { return static_cast<Bf16*>(tensor.mutable_data_ptr()); }

std::string fingerprint(const Adapter& adapter) {
  const at::NoGradGuard no_grad;
  std::vector<Tensor> words;
  for (const auto& [name, tensor] : adapter.parameters()) words.push_back(tensor.detach().flatten().view(at::kInt));
  const Tensor all = at::cat(words).to(at::kLong);
  const Tensor odd = at::arange(all.numel(), all.options()).mul_(2).add_(1);
  std::string text = cat(all.mul(odd).sum().item<int64_t>());
  for (int64_t site = 0; site < adapter.num_sites(); ++site) {
    const Adapter::LowRank* low_rank = adapter.find(site);
    if (low_rank != nullptr) text += cat(" ", site, ":", low_rank->scaling);
  }
  return sha256_hex(text);
}

bool CudaGradients::wants(const Tensor& trained) const {
  return std::any_of(trained_.begin(), trained_.end(), [&](const Tensor& tensor) { return tensor.is_same(trained); });
}

void CudaGradients::set(const Tensor& trained, Tensor gradient) {
  for (size_t i = 0; i < trained_.size(); ++i) {
    if (trained_[i].is_same(trained)) gradients_[i] = gradients_[i].defined() ? gradients_[i].add(gradient) : gradient;
  }
}

FusedLinear::FusedLinear(std::vector<Linear*> parts, int64_t first_site)
    : parts_(std::move(parts)), first_site_(first_site) {
  in_ = parts_.front()->in();
  for (const Linear* part : parts_) {
    first_out_.push_back(out_);
    out_ += part->out();
  }
  if (parts_.size() > 1) {
    grow(0);
  } else {  // as it is
    matrix_ = parts_.front()->weight().detach();
  }
}

Tensor aligned_rows(int64_t num_rows, int64_t size, const at::TensorOptions& options) {
  constexpr int64_t kAligned = 64;
  return at::empty({num_rows, (size + kAligned - 1) / kAligned * kAligned}, options).narrow(1, 0, size);
}

void FusedLinear::grow(int64_t tail) {
  const at::NoGradGuard no_grad;
  const Tensor old = parts_.front()->weight();
  const Tensor matrix = aligned_rows(out_ + tail, in_ + tail, old.options().requires_grad(false)).zero_();
  for (size_t i = 0; i < parts_.size(); ++i) {
    const Tensor part = matrix.narrow(0, first_out_[i], parts_[i]->out()).narrow(1, 0, in_);
    part.copy_(parts_[i]->weight());
    parts_[i]->move_to(part);
  }
  matrix_ = matrix;
  b_ = at::zeros({out_ * tail}, matrix.options());
  capacity_ = tail;
}

std::vector<FusedLinear::Columns> FusedLinear::columns_of(const AdapterStack& stack) const {
  std::vector<Columns> columns;
  int64_t begin = 0;
  for (size_t i = 0; i < parts_.size(); ++i) {
    for (const Adapter* adapter : stack) {
      const Adapter::LowRank* low_rank = adapter->find(first_site_ + static_cast<int64_t>(i));
      if (low_rank == nullptr) continue;
      columns.push_back({i, begin, low_rank->a.size(0), low_rank->scaling, low_rank->a, low_rank->b});
      begin += low_rank->a.size(0);
    }
  }
  return columns;
}

// Whether columns_ are of the stack's tensors as they are now: asked for at each forward.
bool FusedLinear::is_attached(const AdapterStack& stack) const {
  auto held = columns_.begin();
  for (size_t i = 0; i < parts_.size(); ++i) {
    for (const Adapter* adapter : stack) {
      const Adapter::LowRank* low_rank = adapter->find(first_site_ + static_cast<int64_t>(i));
      if (low_rank == nullptr) continue;
      if (held == columns_.end() || held->part != i || !held->a.is_same(low_rank->a) || !held->b.is_same(low_rank->b) ||
          held->scaling != low_rank->scaling || held->a_version != low_rank->a._version() ||
          held->b_version != low_rank->b._version())
        return false;
      ++held;
    }
  }
  return held == columns_.end();
}

bool FusedLinear::attach(const AdapterStack& stack) {
  if (is_attached(stack)) return false;
  std::vector<Columns> wanted = columns_of(stack);
  bool is_same_layout = wanted.size() == columns_.size();
  for (size_t i = 0; i < wanted.size() && is_same_layout; ++i)
    is_same_layout = wanted[i].part == columns_[i].part && wanted[i].rank == columns_[i].rank;
  bool has_moved = false;
  if (!is_same_layout) {
    invariant_sizes_ = {};
    tail_ = wanted.empty() ? 0 : padded(wanted.back().begin + wanted.back().rank);
    has_moved = tail_ > capacity_;
    if (has_moved) {
      grow(tail_);
    } else if (tail_ > 0) {
      matrix_.narrow(1, in_, capacity_).zero_();
      matrix_.narrow(0, out_, capacity_).zero_();
      b_.zero_();
    }
  } else {
    for (size_t i = 0; i < wanted.size(); ++i) {
      const Columns& held = columns_[i];
      if (!held.a.is_same(wanted[i].a) || !held.b.is_same(wanted[i].b) || held.scaling != wanted[i].scaling) continue;
      wanted[i].a_version = held.a_version;
      wanted[i].b_version = held.b_version;
    }
  }
  columns_ = std::move(wanted);
  write();
  return has_moved;
}

void FusedLinear::write() {
  std::vector<cuda::AdapterColumns> entries;
  for (Columns& columns : columns_) {
    if (columns.a_version == columns.a._version() && columns.b_version == columns.b._version()) continue;
    columns.a_version = columns.a._version();
    columns.b_version = columns.b._version();
    const int64_t out = columns.b.size(0);
    entries.push_back(
        {.a = columns.a.const_data_ptr<float>(),
         .b = columns.b.const_data_ptr<float>(),
         .a_rows = bf16_data(matrix_) + (out_ + columns.begin) * matrix_.stride(0),
         .b_columns = bf16_data(matrix_) + first_out_[columns.part] * matrix_.stride(0) + in_ + columns.begin,
         .b_rows = bf16_data(b_) + first_out_[columns.part] * tail_ + columns.begin,
         .rank = columns.rank,
         .in = in_,
         .out = out,
         .a_stride = matrix_.stride(0),
         .b_stride = matrix_.stride(0),
         .b_rows_stride = tail_,
         .scaling = static_cast<float>(columns.scaling)});
  }
  if (!entries.empty())
    cuda::write_adapters(current_stream(matrix_.device()), static_cast<int64_t>(entries.size()), entries.data());
}

Tensor FusedLinear::weight() const { return matrix_.narrow(0, 0, out_).narrow(1, 0, in_ + tail_); }
Tensor FusedLinear::a() const { return matrix_.narrow(0, out_, tail_).narrow(1, 0, in_); }
Tensor FusedLinear::b() const { return b_.narrow(0, 0, out_ * tail_).view({out_, tail_}); }
Tensor FusedLinear::with_a() const { return matrix_.narrow(0, 0, out_ + tail_).narrow(1, 0, in_); }
Tensor FusedLinear::extended_rows(int64_t num_rows) const {
  return aligned_rows(num_rows, extended(), matrix_.options());
}

void FusedLinear::shrink(const Tensor& x, bool is_exact) const {
  if (tail_ == 0) return;
  if (!is_exact && x.size(0) > kMaxShrinkRows) {
    Tensor z = x.narrow(1, in_, tail_);
    at::mm_out(z, x.narrow(1, 0, in_), a().t());
    return;
  }
  cuda::shrink(current_stream(x.device()), x.size(0), in_, bf16_data(x), x.stride(0), bf16_data(a()), matrix_.stride(0),
               tail_);
}

Tensor FusedLinear::multiply(const Tensor& x, bool is_exact) const {
  const int64_t num_rows = x.size(0);
  if (is_exact) return exact_product(Kind::kMultiply, x);
  if (num_rows > cuda::kMaxSkinnyRows) return product(Kind::kMultiply, x);
  Tensor y = at::empty({num_rows, out_}, x.options());
  cuda::multiply_skinny(current_stream(x.device()), num_rows, extended(), out_, bf16_data(x), x.stride(0),
                        bf16_data(matrix_), matrix_.stride(0), bf16_data(y));
  return y;
}

Tensor FusedLinear::multiply_with_a(const Tensor& x, bool is_exact) const {
  const int64_t num_rows = x.size(0), out = out_ + tail_;
  if (is_exact) return exact_product(Kind::kWithA, x);
  if (num_rows > cuda::kMaxSkinnyRows) return product(Kind::kWithA, x);
  Tensor y = at::empty({num_rows, out}, x.options());
  cuda::multiply_skinny(current_stream(x.device()), num_rows, in_, out, bf16_data(x), x.stride(0), bf16_data(matrix_),
                        matrix_.stride(0), bf16_data(y));
  return y;
}

Tensor FusedLinear::logits(const Tensor& x, bool is_exact) const {
  return is_exact ? exact_product(Kind::kLogits, x) : product(Kind::kLogits, x);
}

Tensor FusedLinear::multiply_swiglu(const Tensor& x) const {
  const int64_t num_rows = x.size(0), size = out_ / 2;
  Tensor y = at::empty({num_rows, size}, x.options());
  cuda::multiply_skinny_swiglu(current_stream(x.device()), num_rows, extended(), size, bf16_data(x), x.stride(0),
                               bf16_data(matrix_), matrix_.stride(0), bf16_data(y), y.stride(0));
  return y;
}

Tensor FusedLinear::product(Kind kind, const Tensor& x) const {
  switch (kind) {
    case Kind::kWithA:
      return at::mm(x, with_a().t());
    case Kind::kLogits:
      return at::mm(x, weight().t(), at::kFloat);
    case Kind::kMultiply:
      break;
  }
  return at::mm(x, weight().t());
}

// The library chooses how to sum by the sizes, so products are made with few numbers of rows, all of which are known to
// sum alike.
Tensor FusedLinear::exact_product(Kind kind, const Tensor& x) const {
  const std::vector<int64_t>& sizes = invariant_sizes(kind);
  std::vector<Tensor> parts;
  for (int64_t begin = 0; begin < x.size(0);) {
    const int64_t rest = x.size(0) - begin;
    const auto fitting = std::lower_bound(sizes.begin(), sizes.end(), rest);
    const int64_t size = fitting == sizes.end() ? sizes.back() : *fitting;
    const int64_t count = std::min(size, rest);
    parts.push_back(product(kind, padded_rows(x.narrow(0, begin, count), size)).narrow(0, 0, count));
    begin += count;
  }
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

// Those whose rows have the bits that they have among kReferenceSize, tried on random numbers.
const std::vector<int64_t>& FusedLinear::invariant_sizes(Kind kind) const {
  std::vector<int64_t>& sizes = invariant_sizes_[static_cast<size_t>(kind)];
  if (!sizes.empty()) return sizes;
  const int64_t largest = kind == Kind::kLogits ? kMaxExactLogits : kExactSizes[std::size(kExactSizes) - 1];
  const Tensor x = at::randn({largest, kind == Kind::kWithA ? in_ : extended()}, matrix_.options());
  const auto probe = [&](int64_t size) { return product(kind, x.narrow(0, 0, size)).narrow(0, 0, kProbedRows); };
  const Tensor want = probe(kReferenceSize);
  for (const int64_t size : kExactSizes) {
    if (size <= largest && at::equal(probe(size), want)) sizes.push_back(size);
  }
  NOREGRET_CHECK(!sizes.empty(), "the library's product of ", kReferenceSize, " rows differs from itself");
  return sizes;
}

void FusedLinear::list_trained(const AdapterStack& stack, std::vector<Tensor>& trained) const {
  for (const Linear* part : parts_) {
    if (part->weight().requires_grad()) trained.push_back(part->weight());
  }
  for (const Columns& columns : columns_of(stack)) {
    if (columns.a.requires_grad()) trained.push_back(columns.a);
    if (columns.b.requires_grad()) trained.push_back(columns.b);
  }
}

// With dz = dy (scaling B): dx = dy W + dz A = [dy | dz] [W ; A], dA = dz^T x, dB = scaling dy^T z, dW = dy^T x. One
// product gives dy^T z of all parts, of which each adapter's is a block.
Tensor FusedLinear::backpropagate(const Tensor& grad, const Tensor& x, const Tensor& z, bool needs_input,
                                  CudaGradients& gradients) const {
  const Tensor grad_y = grad.narrow(1, 0, out_);
  Tensor grad_z = grad.narrow(1, out_, tail_);
  for (size_t i = 0; i < parts_.size(); ++i) {
    if (!gradients.wants(parts_[i]->weight())) continue;
    gradients.set(parts_[i]->weight(), at::mm(grad_y.narrow(1, first_out_[i], parts_[i]->out()).t(), x));
  }
  bool trains_adapters = false;
  for (const Columns& columns : columns_) trains_adapters |= gradients.wants(columns.a) || gradients.wants(columns.b);
  if (tail_ > 0 && (needs_input || trains_adapters)) at::mm_out(grad_z, grad_y, b());
  if (trains_adapters) {
    const Tensor grad_a = at::mm(grad_z.t(), x, at::kFloat);
    const Tensor grad_b = at::mm(grad_y.t(), z, at::kFloat);
    for (const Columns& columns : columns_) {
      if (gradients.wants(columns.a)) gradients.set(columns.a, grad_a.narrow(0, columns.begin, columns.rank));
      if (!gradients.wants(columns.b)) continue;
      const Tensor block =
          grad_b.narrow(0, first_out_[columns.part], columns.b.size(0)).narrow(1, columns.begin, columns.rank);
      gradients.set(columns.b, block.mul(columns.scaling));
    }
  }
  return needs_input ? at::mm(grad, with_a()) : Tensor();
}

}  // namespace noregret
