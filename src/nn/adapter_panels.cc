#include "nn/adapter_panels.h"

#include <atomic>
#include <memory>
#include <utility>

#include "noregret/base/file.h"
#include "noregret/base/text.h"

namespace noregret {

using kernels::PackedMatrix;
using kernels::WeightDtype;

namespace {

// As Tensor::_version(), without its way through a table of functions: it is asked for each token.
int64_t version(const Tensor& tensor) { return tensor.unsafeGetTensorImpl()->version_counter().current_version(); }

// All of a f32 matrix, panel by panel.
std::string values_of(const PackedMatrix& matrix) {
  std::string bytes;
  for (int64_t p = 0; p < matrix.num_panels(); ++p)
    bytes.append(static_cast<const char*>(matrix.panel(p, 0)), static_cast<size_t>(matrix.depth() * 64));
  return bytes;
}

}  // namespace

const AdapterPanels& panels_of(const Adapter::LowRank& low_rank) {
  const int64_t a_version = version(low_rank.a), b_version = version(low_rank.b);
  if (low_rank.panels != nullptr && low_rank.panels->a_version == a_version && low_rank.panels->b_version == b_version)
    return *low_rank.panels;

  const int64_t rank = low_rank.a.size(0);
  const int64_t in = low_rank.a.size(1);
  const int64_t out = low_rank.b.size(0);
  if (low_rank.panels == nullptr) {
    low_rank.panels = std::make_shared<AdapterPanels>();
    low_rank.panels->shrink = PackedMatrix::narrow(rank, in);
    low_rank.panels->grad_shrink = PackedMatrix::narrow(rank, out);
    low_rank.panels->grad_expand = PackedMatrix(in, rank, WeightDtype::kF32);
  }
  AdapterPanels& panels = *low_rank.panels;
  static std::atomic<uint64_t> last_number = 0;
  panels.number = ++last_number;
  if (panels.a_version != a_version) {
    const auto* a = low_rank.a.const_data_ptr<float>();
    panels.shrink.pack(a, in, 1);
    panels.grad_expand.pack(a, 1, in);
    panels.a_version = a_version;
  }
  if (panels.b_version != b_version) {
    panels.grad_shrink.pack(low_rank.b.const_data_ptr<float>(), 1, rank, static_cast<float>(low_rank.scaling));
    panels.b_version = b_version;
  }
  return panels;
}

SitePanels::SitePanels(int64_t first_site, std::vector<const Linear*> linears)
    : first_site_(first_site), linears_(std::move(linears)), begins_(linears_.size() + 1, 0) {}

bool SitePanels::is_of(const AdapterStack& stack) const {
  size_t next = 0;
  for (size_t i = 0; i < linears_.size(); ++i) {
    for (const Adapter* adapter : stack) {
      const Adapter::LowRank* low_rank = adapter->find(first_site_ + static_cast<int64_t>(i));
      if (low_rank == nullptr) continue;
      // Panels of a weight that is trained may be gone, and with them what lies behind.
      if (next == begins_[i + 1] || !linears_[i]->is_packed()) return false;
      if (low_ranks_[next++].number != panels_of(*low_rank).number) return false;
    }
    if (next != begins_[i + 1]) return false;
  }
  return true;
}

void SitePanels::follow(const AdapterStack& stack) {
  if (is_of(stack)) return;
  low_ranks_.clear();
  for (size_t i = 0; i < linears_.size(); ++i) {
    size_t index = 0;
    for (const Adapter* adapter : stack) {
      const Adapter::LowRank* low_rank = adapter->find(first_site_ + static_cast<int64_t>(i));
      if (low_rank == nullptr) continue;
      const AdapterPanels& panels = panels_of(*low_rank);
      const int64_t rank = low_rank->b.size(1);
      Linear::Behind& behind = linears_[i]->behind(index++, rank);
      if (behind.content != panels.number) {
        behind.matrix.pack(low_rank->b.const_data_ptr<float>(), rank, 1, static_cast<float>(low_rank->scaling));
        behind.content = panels.number;
      }
      low_ranks_.push_back({&panels.shrink, &behind.matrix, kernels::round_up(rank, 16), panels.number});
    }
    begins_[i + 1] = low_ranks_.size();
  }
}

std::string panels_digest(const AdapterStack& stack, std::span<SitePanels> all) {
  std::vector<std::string> digests(stack.size());
  int64_t site = 0;
  for (SitePanels& panels : all) {
    panels.follow(stack);
    for (const int64_t end = site + panels.num_sites(); site < end; ++site) {
      const SitePanels::LowRank* low_rank = panels.at(site).data();
      for (size_t i = 0; i < stack.size(); ++i) {
        if (stack[i]->find(site) == nullptr) continue;
        digests[i] += sha256_hex(values_of(*low_rank->shrink)) + sha256_hex(values_of(*low_rank->expand));
        ++low_rank;
      }
    }
  }
  for (std::string& digest : digests) digest = sha256_hex(digest);
  return join(digests, "+");
}

}  // namespace noregret
