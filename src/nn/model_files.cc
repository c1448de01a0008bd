#include "noregret/nn/model_files.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

struct FileDtype {
  at::ScalarType tensor;
  const char* config_name;
};

FileDtype file_dtype(const std::string& dtype) {
  if (dtype == "f32") return {at::kFloat, "float32"};
  if (dtype == "bf16") return {at::kBFloat16, "bfloat16"};
  if (dtype == "f16") return {at::kHalf, "float16"};
  throw ConfigError(cat("dtype is ", noregret::quoted(dtype), ", want f32, bf16 or f16"));
}

// weight + sum of scaling * B A, in f32 on the CPU.
Tensor merged_weight(const Tensor& weight, const AdapterStack& stack, int64_t site_idx) {
  Tensor merged = weight.detach().cpu().to(at::kFloat);
  for (const Adapter* adapter : stack) {
    const Adapter::LowRank* low_rank = adapter->find(site_idx);
    if (low_rank != nullptr) merged = at::addmm(merged, low_rank->b.cpu(), low_rank->a.cpu(), 1, low_rank->scaling);
  }
  return merged;
}

bool adapts(const AdapterStack& stack, int64_t site_idx) {
  return std::any_of(stack.begin(), stack.end(),
                     [&](const Adapter* adapter) { return adapter->find(site_idx) != nullptr; });
}

}  // namespace

ModelFiles model_files(const CausalLm& model, const AdapterStack& merged, const std::string& dtype) {
  const at::NoGradGuard no_grad;
  const FileDtype wanted = file_dtype(dtype);
  const std::vector<LinearSite>& sites = model.sites();
  std::map<std::string, int64_t> site_of;
  for (size_t i = 0; i < sites.size(); ++i) site_of[sites[i].name + ".weight"] = static_cast<int64_t>(i);

  HfConfig config = model.config();
  config.dtype = wanted.config_name;
  std::vector<NamedTensor> tensors = model.parameters();
  const auto head_site = static_cast<int64_t>(sites.size()) - 1;
  if (config.tie_word_embeddings && adapts(merged, head_site)) {
    config.tie_word_embeddings = false;
    tensors.emplace_back("lm_head.weight", sites[head_site].weight());
  }

  ModelFiles files;
  double squared_loss = 0.0;
  double squared_change = 0.0;
  for (auto& [name, tensor] : tensors) {
    const auto site = site_of.find(name);
    const Tensor base = tensor;
    const Tensor exact =
        merged_weight(base, site == site_of.end() ? AdapterStack{} : merged, site == site_of.end() ? 0 : site->second);
    tensor = exact.to(wanted.tensor);
    if (wanted.tensor != at::kFloat) {
      const Tensor loss = exact.sub(tensor.to(at::kFloat));
      files.max_rounding = std::max(files.max_rounding, loss.abs().max().item<double>());
      if (site != site_of.end() && adapts(merged, site->second)) {
        squared_loss += std::pow(loss.norm().item<double>(), 2);
        squared_change += std::pow(exact.sub(base.detach().cpu().to(at::kFloat)).norm().item<double>(), 2);
      }
    }
    if (!all_finite(tensor)) {
      throw DataError(cat(name, ": a merged weight is not finite in ", dtype,
                          "; export with --dtype f32, or from an earlier checkpoint"));
    }
  }
  if (squared_change > 0) files.lost_share = std::sqrt(squared_loss / squared_change);
  files.config_json = write_hf_config(config);
  files.generation_config_json = write_generation_config(config);
  files.tensor_bytes = tensors_to_bytes(tensors);
  return files;
}

}  // namespace noregret
