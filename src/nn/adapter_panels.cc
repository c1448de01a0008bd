#include "nn/adapter_panels.h"

#include "noregret/base/file.h"

namespace noregret {

using kernels::PackedMatrix;
using kernels::WeightDtype;

const AdapterPanels& panels_of(const Adapter::LowRank& low_rank) {
  const int64_t rank = low_rank.a.size(0);
  const int64_t in = low_rank.a.size(1);
  const int64_t out = low_rank.b.size(0);
  if (low_rank.panels == nullptr) {
    low_rank.panels = std::make_shared<AdapterPanels>();
    low_rank.panels->shrink = PackedMatrix::narrow(rank, in);
    low_rank.panels->expand = PackedMatrix(out, rank, WeightDtype::kF32);
    low_rank.panels->grad_shrink = PackedMatrix::narrow(rank, out);
    low_rank.panels->grad_expand = PackedMatrix(in, rank, WeightDtype::kF32);
  }
  AdapterPanels& panels = *low_rank.panels;
  if (panels.a_version != low_rank.a._version()) {
    const auto* a = low_rank.a.const_data_ptr<float>();
    panels.shrink.pack(a, in, 1);
    panels.grad_expand.pack(a, 1, in);
    panels.a_version = low_rank.a._version();
  }
  if (panels.b_version != low_rank.b._version()) {
    const auto* b = low_rank.b.const_data_ptr<float>();
    const auto scaling = static_cast<float>(low_rank.scaling);
    panels.expand.pack(b, rank, 1, scaling);
    panels.grad_shrink.pack(b, 1, rank, scaling);
    panels.b_version = low_rank.b._version();
  }
  return panels;
}

std::string panels_digest(const Adapter& adapter, int64_t num_sites) {
  std::string digests;
  for (int64_t site = 0; site < num_sites; ++site) {
    const Adapter::LowRank* low_rank = adapter.find(site);
    if (low_rank == nullptr) continue;
    const AdapterPanels& panels = panels_of(*low_rank);
    for (const PackedMatrix* matrix : {&panels.shrink, &panels.expand})
      digests += sha256_hex({reinterpret_cast<const char*>(matrix->bytes()), matrix->num_bytes()});
  }
  return sha256_hex(digests);
}

}  // namespace noregret
