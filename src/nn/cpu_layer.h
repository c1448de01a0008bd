#pragma once

#include <memory>

#include "nn/adapter_panels.h"
#include "nn/cpu_plan.h"
#include "noregret/nn/causal_lm.h"

namespace noregret {

// A decoder layer on the CPU kernels, forward and backward.
struct CpuLayer {
  const LayerWeights* weights;
  const AdapterStack* stack;
  SitePanels* adapters;  // of the layer's sites; follows the stack
  int64_t first_site;    // of q; k v o gate up down follow
  int64_t index;         // in the cache
  double eps;
  Tensor rows;  // [M] int64: whose results are wanted; undefined: of all
};

// x [N, D] -> [N, D], or [M, D] of the layer's rows. Differentiable in x, in the adapters' tensors and in the weights
// that require it; sampler and learner both come here. The plan is shared by all layers of a forward and kept by those
// that a backward will visit.
Tensor forward_on_cpu(const CpuLayer& layer, const std::shared_ptr<CpuPlan>& plan, const HfConfig& config,
                      const Tensor& x);
Tensor rms_norm_on_cpu(const Tensor& x, const Tensor& weight, double eps);

struct CpuHead {
  const Linear* weight;  // the model's own, so that what it packs is kept
  const AdapterStack* stack;
  SitePanels* adapters;
  int64_t site;
};

// f32 logits of rows [M, D] -> [M, V], not differentiable.
Tensor logits_on_cpu(const CpuHead& head, const Tensor& rows);

TokenScores token_scores_on_cpu(const CpuHead& head, const Tensor& rows, const Tensor& targets, double temperature);

}  // namespace noregret
