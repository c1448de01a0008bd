#pragma once

#include <string>

#include "noregret/nn/causal_lm.h"

namespace noregret {

// config.json, generation_config.json and model.safetensors of the model plus, with adapters, their sum merged in f32:
// W + scaling * B A (a tied head that is adapted is written untied). Tensors are converted to `dtype` ("f32", "bf16",
// "f16").
struct ModelFiles {
  std::string config_json;
  std::string generation_config_json;
  std::string tensor_bytes;
  double max_rounding = 0.0;  // max |merged - written| over all weights
  double lost_share = 0.0;    // |merged - written| / |merged - base| over the adapted weights, 2-norms; 0 without any
};
ModelFiles model_files(const CausalLm& model, const AdapterStack& merged, const std::string& dtype);

}  // namespace noregret
