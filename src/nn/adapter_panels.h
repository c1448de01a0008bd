#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "noregret/kernels/matrix.h"
#include "noregret/nn/adapter.h"
#include "noregret/nn/linear.h"

namespace noregret {

// The low-rank path as the CPU kernels read it, but for the forward's second half (SitePanels).
// y += (x A^T) (s B)^T.
struct AdapterPanels {
  kernels::PackedMatrix shrink;       // A: in -> R
  kernels::PackedMatrix grad_shrink;  // (s B)^T: out -> R
  kernels::PackedMatrix grad_expand;  // A^T: R -> in
  int64_t a_version = -1;
  int64_t b_version = -1;
  uint64_t number = 0;  // of A and B as they are now, among all that there ever were
};

// Of the tensors as they are now: packed anew when one has changed since.
const AdapterPanels& panels_of(const Adapter::LowRank& low_rank);

// What a forward reads of a stack's adapters at some sites that follow each other: a decoder layer's, or the head's.
// They are looked up together, since what tells whether they have changed lies far apart in memory. The sites' weights
// have no other SitePanels.
class SitePanels {
 public:
  struct LowRank {
    const kernels::PackedMatrix* shrink;
    const kernels::PackedMatrix* expand;  // s B: R -> out, behind the weight, where a product reads on
    int64_t stride;                       // of what lies between: the rank, rounded up to whole panels
    uint64_t number;                      // of the AdapterPanels
  };
  // `linears` are those of the sites.
  SitePanels(int64_t first_site, std::vector<const Linear*> linears);

  // Becomes the stack's, with its tensors as they are now.
  void follow(const AdapterStack& stack);
  int64_t num_sites() const { return std::ssize(linears_); }
  // In the stack's order.
  std::span<const LowRank> at(int64_t site) const {
    const size_t* begin = &begins_[static_cast<size_t>(site - first_site_)];
    return {low_ranks_.data() + begin[0], low_ranks_.data() + begin[1]};
  }

 private:
  bool is_of(const AdapterStack& stack) const;

  int64_t first_site_;
  std::vector<const Linear*> linears_;
  std::vector<LowRank> low_ranks_;
  std::vector<size_t> begins_;  // in low_ranks_, of each site; and the end
};

// SHA-256 over what the forward reads of each adapter, joined by "+".
std::string panels_digest(const AdapterStack& stack, std::span<SitePanels> all);

}  // namespace noregret
