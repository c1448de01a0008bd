#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "noregret/format/peft_config.h"
#include "noregret/nn/adapter_options.h"
#include "noregret/tensor/tensor.h"
#include "noregret/tensor/tensor_file.h"

namespace noregret {

// A linear layer of a model that an adapter can change. Its index in CausalLm::sites() is its identity inside the
// process.
struct LinearSite {
  std::string name;  // module path: "model.layers.0.self_attn.q_proj", "lm_head"
  int64_t in_features = 0;
  int64_t out_features = 0;
  std::function<Tensor()> weight;  // the base's [out, in]; may be empty
};

struct AdapterPanels;

// One named set of low-rank tensors: y += scaling * B (A x), scaling = alpha / rank (LoRA, arXiv:2106.09685,
// section 4.1). A ~ U(-1/sqrt(in), 1/sqrt(in)) from one counter-based stream a site, B = 0. Tensors are f32 leaves on
// the model's device.
class Adapter {
 public:
  struct LowRank {
    Tensor a;  // [R, in]
    Tensor b;  // [out, R]
    double scaling = 0.0;
    mutable std::shared_ptr<AdapterPanels> panels;  // of the CPU kernels; follows a and b
  };

  // Throws ConfigError on a target that names no site (with the nearest name).
  static Adapter create(const std::vector<LinearSite>& sites, const AdapterOptions& options, uint64_t seed,
                        at::Device device);
  // A folder with adapter_config.json and adapter_model.safetensors as PEFT writes them (rank_pattern, alpha_pattern,
  // use_rslora honoured). Throws DataError: missing file, surplus or missing tensor, shape that does not fit the model,
  // non-finite value.
  static Adapter load(const std::filesystem::path& dir, const std::vector<LinearSite>& sites, at::Device device);

  const LowRank* find(int64_t site_idx) const;  // null = the site is not adapted
  std::vector<NamedTensor> parameters()
      const;  // PEFT keys ("base_model.model.<module>.lora_A.weight"), A before B, sites in order
  void set_trainable(bool is_trainable);  // requires_grad of every tensor
  Adapter clone() const;                  // frozen copy: a reference policy

  const PeftConfig& config() const { return config_; }
  // The two files of a PEFT adapter folder.
  std::string config_json(const std::string& base_model) const;
  std::string tensor_bytes() const;
  int64_t num_sites() const { return static_cast<int64_t>(by_site_.size()); }  // of the model, adapted or not
  std::string digest() const;                                                  // SHA-256 over the tensors and scalings

  double norm_a() const;  // Frobenius norm over all A
  double norm_b() const;
  double norm_delta() const;  // Frobenius norm over all scaling * B A

 private:
  Adapter() = default;
  std::vector<std::optional<LowRank>> by_site_;
  std::vector<std::string> site_names_;
  PeftConfig config_;
};

// Ordered adapters, each added to the base; empty = the base model. A policy is a stack, and so is a reference.
// Borrowed: the adapters outlive the stack.
using AdapterStack = std::vector<const Adapter*>;

// Copies values into the adapter's own tensors by PEFT key; exact key set, shapes and finiteness checked. Throws
// DataError naming `where`.
void restore_parameters(const std::vector<NamedTensor>& targets, const std::vector<NamedTensor>& values,
                        const std::string& where);

}  // namespace noregret
