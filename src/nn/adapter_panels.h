#pragma once

#include "noregret/kernels/matrix.h"
#include "noregret/nn/adapter.h"

namespace noregret {

// The low-rank path as the CPU kernels read it, forward and backward. y += (x A^T) (s B)^T.
struct AdapterPanels {
  kernels::PackedMatrix shrink;       // A: in -> R
  kernels::PackedMatrix expand;       // s B: R -> out
  kernels::PackedMatrix grad_shrink;  // (s B)^T: out -> R
  kernels::PackedMatrix grad_expand;  // A^T: R -> in
  int64_t a_version = -1;
  int64_t b_version = -1;
};

// Of the tensors as they are now: packed anew when one has changed since.
const AdapterPanels& panels_of(const Adapter::LowRank& low_rank);

// SHA-256 over what the forward reads of all sites.
std::string panels_digest(const Adapter& adapter, int64_t num_sites);

}  // namespace noregret
