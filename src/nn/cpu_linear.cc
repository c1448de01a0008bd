#include "nn/cpu_linear.h"

#include <ATen/ops/zeros_like.h>

#include <algorithm>

#include "nn/cpu_pool.h"

namespace noregret {

using kernels::Outer;
using kernels::PackedMatrix;
using kernels::Product;
using kernels::round_up;
using kernels::Term;

namespace {

// One adapter at one site.
struct LowRankSlot {
  size_t slot;
  const Adapter::LowRank* low_rank;
  const AdapterPanels* panels;
  int64_t stride;  // the rank, rounded up to whole panels
  float* z;        // [rows, stride]
};

// Ordered by slot.
std::vector<LowRankSlot> find_low_ranks(const AdapterStack& stack, std::span<const LinearSlot> slots, int64_t num_rows,
                                        Workspace& memory) {
  std::vector<LowRankSlot> found;
  int64_t size = 0;
  for (size_t i = 0; i < slots.size(); ++i) {
    for (const Adapter* adapter : stack) {
      const Adapter::LowRank* low_rank = adapter->find(slots[i].site);
      if (low_rank == nullptr) continue;
      found.push_back({i, low_rank, &panels_of(*low_rank), round_up(low_rank->a.size(0), 16), nullptr});
      size += num_rows * found.back().stride;
    }
  }
  float* z = memory.room(size);
  for (LowRankSlot& entry : found) {
    entry.z = z;
    z += num_rows * entry.stride;
  }
  return found;
}

// Products and their terms, in memory that calls use again.
class Products {
 public:
  explicit Products(size_t most_terms) {
    memory_.terms.clear();
    memory_.terms.reserve(most_terms);  // products' spans of them stay valid
    memory_.products.clear();
    memory_.first.clear();
  }
  // The term after the last; the products take those that are new since the one before.
  void add_term(const Term& term) { memory_.terms.push_back(term); }
  void add_product(float* y, int64_t y_stride) { memory_.products.push_back({y, y_stride, false, new_terms()}); }
  // z = x A^T
  void add_first(float* z, int64_t stride, const PackedMatrix& panels, const float* x) {
    add_term({&panels, x, panels.in()});
    memory_.first.push_back({z, stride, false, new_terms()});
  }
  void multiply(int64_t num_rows) { kernels::multiply(cpu_pool(), num_rows, memory_.products, memory_.first); }

 private:
  std::span<const Term> new_terms() {
    const std::span<const Term> terms = std::span(memory_.terms).subspan(num_taken_);
    num_taken_ = memory_.terms.size();
    return terms;
  }

  struct Memory {
    std::vector<Term> terms;
    std::vector<Product> products, first;
  };
  static thread_local Memory memory_;
  size_t num_taken_ = 0;
};
thread_local Products::Memory Products::memory_;

}  // namespace

Gradients::Gradients(const std::vector<Tensor>& trained) : trained_(trained), gradients_(trained.size()) {}

float* Gradients::of(const Tensor& trained) {
  for (size_t i = 0; i < trained_.size(); ++i) {
    if (!trained_[i].is_same(trained)) continue;
    if (!gradients_[i].defined()) gradients_[i] = at::zeros_like(trained.detach());
    return gradients_[i].mutable_data_ptr<float>();
  }
  return nullptr;
}

void list_trained(const Linear& linear, const AdapterStack& stack, int64_t site, std::vector<Tensor>& trained) {
  if (!linear.is_packed() && linear.weight().requires_grad()) trained.push_back(linear.weight());
  for (const Adapter* adapter : stack) {
    const Adapter::LowRank* low_rank = adapter->find(site);
    if (low_rank == nullptr) continue;
    if (low_rank->a.requires_grad()) trained.push_back(low_rank->a);
    if (low_rank->b.requires_grad()) trained.push_back(low_rank->b);
  }
}

// The adapters' first halves come before the large products, whose chains of FMAs go on with the second halves while
// what they add to is at hand.
void forward_linears(const SitePanels& adapters, std::span<const LinearSlot> slots, int64_t num_rows, const float* x,
                     Workspace& memory) {
  int64_t z_size = 0;
  size_t num_terms = slots.size();
  for (const LinearSlot& slot : slots) {
    for (const SitePanels::LowRank& low_rank : adapters.at(slot.site)) {
      z_size += num_rows * low_rank.stride;
      num_terms += 2;
    }
  }
  float* const all_z = memory.room(z_size);
  Products products(num_terms);
  float* z = all_z;
  for (const LinearSlot& slot : slots) {
    const PackedMatrix& panels = slot.linear->panels();
    products.add_term({&panels, x, panels.in()});
    for (const SitePanels::LowRank& low_rank : adapters.at(slot.site)) {
      products.add_term({low_rank.expand, z, low_rank.stride, true});
      z += num_rows * low_rank.stride;
    }
    products.add_product(slot.y, panels.out());
  }
  z = all_z;
  for (const LinearSlot& slot : slots) {
    for (const SitePanels::LowRank& low_rank : adapters.at(slot.site)) {
      products.add_first(z, low_rank.stride, *low_rank.shrink, x);
      z += num_rows * low_rank.stride;
    }
  }
  products.multiply(num_rows);
}

void backward_linears(const AdapterStack& stack, std::span<const LinearSlot> slots, int64_t num_rows, const float* x,
                      float* grad_x, bool keeps_transposed, Gradients& gradients) {
  Workspace memory, grad_memory;
  const std::vector<LowRankSlot> low_rank = find_low_ranks(stack, slots, num_rows, memory);
  const std::vector<LowRankSlot> grad_z = find_low_ranks(stack, slots, num_rows, grad_memory);
  std::vector<PackedMatrix> transposed;
  transposed.reserve(slots.size());
  Products products(slots.size() + 3 * low_rank.size());
  if (grad_x != nullptr) {
    for (const LinearSlot& slot : slots) {
      const PackedMatrix* panels;
      if (keeps_transposed) {
        panels = &slot.linear->transposed_panels(cpu_pool());
      } else {
        transposed.push_back(slot.linear->panels().transposed(cpu_pool()));
        panels = &transposed.back();
      }
      products.add_term({panels, slot.y, panels->in()});
    }
    for (const LowRankSlot& entry : grad_z)
      products.add_term({&entry.panels->grad_expand, entry.z, entry.stride, true});
    products.add_product(grad_x, slots[0].linear->in());
  }
  for (const LowRankSlot& entry : low_rank) products.add_first(entry.z, entry.stride, entry.panels->shrink, x);
  for (const LowRankSlot& entry : grad_z)
    products.add_first(entry.z, entry.stride, entry.panels->grad_shrink, slots[entry.slot].y);
  products.multiply(num_rows);

  // dW = dY^T X; dA = dZ^T X; dB = s dY^T Z, by way of rows that are as long as Z's.
  std::vector<Outer> outers;
  std::vector<std::vector<float>> grad_b(low_rank.size());
  for (const LinearSlot& slot : slots) {
    if (slot.linear->is_packed()) continue;
    const int64_t out = slot.linear->out(), in = slot.linear->in();
    if (float* grad = gradients.of(slot.linear->weight())) outers.push_back({slot.y, out, out, x, in, in, grad, in});
  }
  for (size_t i = 0; i < low_rank.size(); ++i) {
    const LowRankSlot& entry = low_rank[i];
    const int64_t rank = entry.low_rank->a.size(0), in = entry.low_rank->a.size(1), out = entry.low_rank->b.size(0);
    if (float* grad = gradients.of(entry.low_rank->a))
      outers.push_back({grad_z[i].z, entry.stride, rank, x, in, in, grad, in});
    if (gradients.of(entry.low_rank->b) == nullptr) continue;
    grad_b[i].resize(static_cast<size_t>(out * entry.stride));
    outers.push_back(
        {slots[entry.slot].y, out, out, entry.z, entry.stride, entry.stride, grad_b[i].data(), entry.stride});
  }
  multiply_transposed(cpu_pool(), num_rows, outers);
  for (size_t i = 0; i < low_rank.size(); ++i) {
    if (grad_b[i].empty()) continue;
    const LowRankSlot& entry = low_rank[i];
    const int64_t rank = entry.low_rank->b.size(1);
    float* grad = gradients.of(entry.low_rank->b);
    for (int64_t o = 0; o < entry.low_rank->b.size(0); ++o) {
      for (int64_t r = 0; r < rank; ++r)
        grad[o * rank + r] = static_cast<float>(entry.low_rank->scaling) * grad_b[i][o * entry.stride + r];
    }
  }
}

}  // namespace noregret
