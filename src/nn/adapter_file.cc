#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "nn/adapter_names.h"
#include "noregret/base/error.h"
#include "noregret/base/file.h"
#include "noregret/base/text.h"
#include "noregret/nn/adapter.h"

namespace noregret {
namespace {

constexpr uint64_t kMaxConfigBytes = uint64_t{1} << 24;

// The value of the pattern that names the site, or `otherwise`.
template <class T>
T pattern_value(const std::map<std::string, T>& pattern, const std::string& site_name, T otherwise,
                const std::string& where) {
  const T* found = nullptr;
  for (const auto& [name, value] : pattern) {
    if (!names_site(name, site_name)) continue;
    if (found != nullptr && *found != value) {
      throw DataError(cat(where, ": two entries of a pattern name ", site_name, " with different values; keep one"));
    }
    found = &value;
  }
  return found == nullptr ? otherwise : *found;
}

void check_names(const std::vector<std::string>& names, const std::vector<LinearSite>& sites, const std::string& what) {
  const std::vector<std::string> known = module_names(sites);
  for (const std::string& name : names) {
    if (std::any_of(sites.begin(), sites.end(), [&](const LinearSite& site) { return names_site(name, site.name); }))
      continue;
    throw DataError(cat(what, ": ", noregret::quoted(name), " names no linear layer of the model, want some of ",
                        join(known, " "), did_you_mean(name, known)));
  }
}

template <class T>
std::vector<std::string> keys(const std::map<std::string, T>& pattern) {
  std::vector<std::string> names;
  for (const auto& [name, value] : pattern) names.push_back(name);
  return names;
}

// Tensors of an adapter file, taken out one by one; what is left over is surplus.
class TensorSet {
 public:
  explicit TensorSet(const std::filesystem::path& path) : where_(path.string()) {
    for (auto& [name, tensor] : read_tensors(path)) tensors_.emplace(name, std::move(tensor));
  }

  bool contains(const std::string& key) const { return tensors_.contains(key); }

  // In f32.
  Tensor take(const std::string& key, at::IntArrayRef want) {
    const auto found = tensors_.find(key);
    if (found == tensors_.end()) {
      throw DataError(cat(where_, ": holds no tensor ", noregret::quoted(key),
                          ", which adapter_config.json asks for; save the adapter again"));
    }
    Tensor tensor = std::move(found->second);
    tensors_.erase(found);
    if (tensor.sizes() != want) {
      throw DataError(cat(where_, ": ", key, " is ", shape_text(tensor.sizes()), ", want ", shape_text(want),
                          "; the adapter has another rank than its config says, or belongs to another model"));
    }
    if (!tensor.is_floating_point()) throw DataError(cat(where_, ": ", key, " holds integers, want a float dtype"));
    if (!all_finite(tensor)) throw DataError(cat(where_, ": ", key, " holds NaN or infinity; the adapter is broken"));
    return tensor.to(at::kFloat);
  }

  void check_empty() const {
    if (tensors_.empty()) return;
    throw DataError(
        cat(where_, ": holds tensor ", noregret::quoted(tensors_.begin()->first),
            ", which is no part of a LoRA on this model's target_modules; want lora_A and lora_B of those only"));
  }

 private:
  std::string where_;
  std::map<std::string, Tensor> tensors_;
};

// PEFT writes the base weight beside an adapted head. It must be ours, or the adapter was trained on another model.
void check_base_layer(TensorSet& tensors, const LinearSite& site, const std::string& where) {
  const std::string key = peft_key(site.name, "base_layer");
  if (!tensors.contains(key)) return;
  const Tensor base = tensors.take(key, {site.out_features, site.in_features});
  if (!site.weight) return;
  const at::NoGradGuard no_grad;
  const Tensor weight = site.weight();
  if (!at::equal(base.to(weight.options()), weight)) {
    throw DataError(cat(where, ": ", key, " differs from this model's ", site.name,
                        ".weight; load the base model that the adapter was trained on"));
  }
}

}  // namespace

Adapter Adapter::load(const std::filesystem::path& dir, const std::vector<LinearSite>& sites, at::Device device) {
  const std::string config_path = (dir / "adapter_config.json").string();
  const PeftConfig read = parse_peft_config(read_file(config_path, kMaxConfigBytes), config_path);
  check_names(read.target_modules, sites, cat(config_path, ": target_modules"));
  check_names(keys(read.rank_pattern), sites, cat(config_path, ": rank_pattern"));
  check_names(keys(read.alpha_pattern), sites, cat(config_path, ": alpha_pattern"));

  const std::filesystem::path tensor_path = dir / "adapter_model.safetensors";
  TensorSet tensors(tensor_path);
  Adapter adapter;
  adapter.config_ = read;
  // Kept in the form that is written: alpha / rank for every layer, whatever was read.
  adapter.config_.use_rslora = false;
  adapter.config_.rank_pattern.clear();
  adapter.config_.alpha_pattern.clear();
  const auto written_alpha = [&](double alpha, int64_t rank) {
    return read.use_rslora ? alpha * std::sqrt(static_cast<double>(rank)) : alpha;
  };
  adapter.config_.alpha = written_alpha(read.alpha, read.rank);
  for (const LinearSite& site : sites) {
    adapter.site_names_.push_back(site.name);
    adapter.by_site_.emplace_back();
    const std::vector<std::string>& targets = read.target_modules;
    if (std::none_of(targets.begin(), targets.end(), [&](const std::string& t) { return names_site(t, site.name); }))
      continue;
    const int64_t rank = pattern_value(read.rank_pattern, site.name, read.rank, config_path);
    const double alpha = written_alpha(pattern_value(read.alpha_pattern, site.name, read.alpha, config_path), rank);
    if (rank != adapter.config_.rank) adapter.config_.rank_pattern[site.name] = rank;
    if (alpha != adapter.config_.alpha) adapter.config_.alpha_pattern[site.name] = alpha;
    check_base_layer(tensors, site, tensor_path.string());
    adapter.by_site_.back() =
        LowRank{.a = tensors.take(peft_key(site.name, "lora_A"), {rank, site.in_features}).to(device),
                .b = tensors.take(peft_key(site.name, "lora_B"), {site.out_features, rank}).to(device),
                .scaling = alpha / static_cast<double>(rank)};
  }
  tensors.check_empty();
  return adapter;
}

}  // namespace noregret
