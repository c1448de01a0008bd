#pragma once

#include <cstdint>
#include <vector>

#include "noregret/nn/causal_lm.h"

namespace noregret {

// Whether sampling follows the adapter: what the next token's logits after `ids` are, by way of a cache, must change
// when B of one site is changed, and come back bit for bit when it is put back. Leaves the adapter as it was.
bool sampler_follows(const CausalLm& model, const AdapterStack& policy, Adapter& adapter,
                     const std::vector<int64_t>& ids);

}  // namespace noregret
