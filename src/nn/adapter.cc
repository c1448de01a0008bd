#include "noregret/nn/adapter.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "nn/adapter_names.h"
#include "noregret/base/error.h"
#include "noregret/base/file.h"
#include "noregret/base/rng.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

// The options' names with 'all' spelled out. Throws ConfigError on one that names no site.
std::vector<std::string> resolve_targets(const std::vector<LinearSite>& sites,
                                         const std::vector<std::string>& targets) {
  const std::vector<std::string> known = module_names(sites);
  std::vector<std::string> resolved;
  for (const std::string& target : targets) {
    if (target == "all") return known;
    const bool is_known =
        std::any_of(sites.begin(), sites.end(), [&](const LinearSite& site) { return names_site(target, site.name); });
    if (!is_known) {
      throw ConfigError(cat("adapter.targets: ", noregret::quoted(target),
                            " names no linear layer of the model, want 'all' or some of ", join(known, " "),
                            did_you_mean(target, known)));
    }
    resolved.push_back(target);
  }
  if (resolved.empty()) throw ConfigError(cat("adapter.targets: is empty; want 'all' or some of ", join(known, " ")));
  return resolved;
}

// U(-1/sqrt(in), 1/sqrt(in)): PEFT's kaiming_uniform(a = sqrt 5), which does not depend on the rank. Drawn on the CPU,
// so that every device starts from the same bits.
Tensor initial_a(int64_t rank, int64_t in_features, Rng rng) {
  Tensor a = at::empty({rank, in_features}, at::kFloat);
  const auto bound = static_cast<float>(1.0 / std::sqrt(static_cast<double>(in_features)));
  auto* data = a.mutable_data_ptr<float>();
  for (int64_t i = 0; i < a.numel(); ++i) data[i] = rng.uniform(-bound, bound);
  return a;
}

double norm(const std::vector<NamedTensor>& tensors, size_t first) {
  double sum = 0.0;
  for (size_t i = first; i < tensors.size(); i += 2)
    sum += std::pow(tensors[i].second.detach().norm().item<double>(), 2);
  return std::sqrt(sum);
}

}  // namespace

std::string peft_key(std::string_view site_name, std::string_view part) {
  return cat("base_model.model.", site_name, ".", part, ".weight");
}

bool names_site(std::string_view name, std::string_view site_name) {
  if (name.empty() || !site_name.ends_with(name)) return false;
  return name.size() == site_name.size() || site_name[site_name.size() - name.size() - 1] == '.';
}

std::vector<std::string> module_names(const std::vector<LinearSite>& sites) {
  std::vector<std::string> names;
  for (const LinearSite& site : sites) {
    std::string name = site.name.substr(site.name.rfind('.') + 1);
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
  }
  return names;
}

Adapter Adapter::create(const std::vector<LinearSite>& sites, const AdapterOptions& options, uint64_t seed,
                        at::Device device) {
  Adapter adapter;
  adapter.config_.rank = options.rank;
  adapter.config_.alpha = options.alpha;
  adapter.config_.target_modules = resolve_targets(sites, options.targets);
  for (size_t i = 0; i < sites.size(); ++i) {
    const LinearSite& site = sites[i];
    adapter.site_names_.push_back(site.name);
    adapter.by_site_.emplace_back();
    const std::vector<std::string>& targets = adapter.config_.target_modules;
    if (std::none_of(targets.begin(), targets.end(), [&](const std::string& t) { return names_site(t, site.name); }))
      continue;
    adapter.by_site_.back() =
        LowRank{.a = initial_a(options.rank, site.in_features, Rng::stream(seed, Purpose::kInit, {i})).to(device),
                .b = at::zeros({site.out_features, options.rank}, at::TensorOptions(at::kFloat).device(device)),
                .scaling = options.alpha / static_cast<double>(options.rank)};
  }
  return adapter;
}

const Adapter::LowRank* Adapter::find(int64_t site_idx) const {
  const std::optional<LowRank>& low_rank = by_site_[site_idx];
  return low_rank ? &*low_rank : nullptr;
}

std::vector<NamedTensor> Adapter::parameters() const {
  std::vector<NamedTensor> tensors;
  for (size_t i = 0; i < by_site_.size(); ++i) {
    if (!by_site_[i]) continue;
    tensors.emplace_back(peft_key(site_names_[i], "lora_A"), by_site_[i]->a);
    tensors.emplace_back(peft_key(site_names_[i], "lora_B"), by_site_[i]->b);
  }
  return tensors;
}

void Adapter::set_trainable(bool is_trainable) {
  for (auto& [name, tensor] : parameters()) tensor.requires_grad_(is_trainable);
}

Adapter Adapter::clone() const {
  Adapter copy = *this;
  for (std::optional<LowRank>& low_rank : copy.by_site_) {
    if (!low_rank) continue;
    low_rank->a = low_rank->a.detach().clone();
    low_rank->b = low_rank->b.detach().clone();
    low_rank->panels = nullptr;
  }
  return copy;
}

std::string Adapter::config_json(const std::string& base_model) const {
  PeftConfig config = config_;
  config.base_model = base_model;
  return write_peft_config(config);
}

std::string Adapter::tensor_bytes() const { return tensors_to_bytes(parameters()); }

std::string Adapter::digest() const {
  std::string text = noregret::digest(parameters());
  for (const std::optional<LowRank>& low_rank : by_site_) text += low_rank ? cat(" ", low_rank->scaling) : " -";
  return sha256_hex(text);
}

double Adapter::norm_a() const { return norm(parameters(), 0); }
double Adapter::norm_b() const { return norm(parameters(), 1); }

// ||B A||^2 = sum of (B^T B) * (A A^T): products of R x R matrices instead of out x in.
double Adapter::norm_delta() const {
  const at::NoGradGuard no_grad;
  double sum = 0.0;
  for (const std::optional<LowRank>& low_rank : by_site_) {
    if (!low_rank) continue;
    const Tensor a = low_rank->a.to(at::kDouble);
    const Tensor b = low_rank->b.to(at::kDouble);
    const double product = b.t().mm(b).mul_(a.mm(a.t())).sum().item<double>();
    sum += low_rank->scaling * low_rank->scaling * std::max(0.0, product);
  }
  return std::sqrt(sum);
}

void restore_parameters(const std::vector<NamedTensor>& targets, const std::vector<NamedTensor>& values,
                        const std::string& where) {
  std::map<std::string, const Tensor*> by_name;
  for (const auto& [name, value] : values) by_name[name] = &value;
  for (const auto& [name, target] : targets) {
    const auto found = by_name.find(name);
    if (found == by_name.end())
      throw DataError(cat(where, ": holds no tensor ", noregret::quoted(name), "; the file belongs to another run"));
    const Tensor& value = *found->second;
    if (value.sizes() != target.sizes()) {
      throw DataError(cat(where, ": ", name, " is ", shape_text(value.sizes()), ", want ", shape_text(target.sizes()),
                          "; the file belongs to another run"));
    }
    if (!all_finite(value))
      throw DataError(cat(where, ": ", name, " holds NaN or infinity; resume from an earlier checkpoint"));
    by_name.erase(found);
  }
  if (!by_name.empty()) {
    throw DataError(
        cat(where, ": holds tensor ", noregret::quoted(by_name.begin()->first), ", which this run does not have"));
  }
  const at::NoGradGuard no_grad;
  std::map<std::string, const Tensor*> checked;
  for (const auto& [name, value] : values) checked[name] = &value;
  for (const auto& [name, target] : targets) Tensor(target).copy_(*checked[name]);
}

}  // namespace noregret
