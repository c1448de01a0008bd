#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "noregret/format/hf_config.h"
#include "noregret/nn/adapter.h"
#include "noregret/nn/kv_cache.h"
#include "noregret/nn/linear.h"
#include "noregret/nn/ops.h"
#include "noregret/tensor/tensor.h"
#include "noregret/tensor/tensor_file.h"
#include "noregret/tensor/token_batch.h"

namespace noregret {

struct CpuPlan;
struct CudaLayer;
struct CudaPlan;
struct CudaWeights;
class SitePanels;
class DecodeEngine;

// Who computes a forward. kAten: LibTorch's operators, any device and float dtype. kKernels: the kernels module, on the
// CPU in f32; log-probs of a sequence have the same bits in whatever batch, with or without a cache. kCuda: the kernels
// module's CUDA side and the library's matrix products, in bf16; the bits are the same where set_exact() asks for it. A
// model that those kernels cannot do (kernels/cuda.h), or that is not bf16, is kAten instead.
enum class Backend { kAten, kKernels, kCuda };
Backend default_backend(at::Device device);  // kernels

struct LayerWeights {
  Tensor input_norm, post_norm;
  Linear q, k, v, o, gate, up, down;
};

// Of a batch, for all layers of a forward.
struct ForwardPlan {
  Tensor rows;  // [M] int64: whose hidden states are wanted in the end; undefined: of all
  ops::AttentionPlan aten;
  std::shared_ptr<CpuPlan> kernels;
  std::shared_ptr<CudaPlan> cuda;
};

struct TokenScores {
  Tensor logprobs;  // [M] f32
  Tensor entropy;   // [M] f32
};

// A decoder-only Llama model. Holds weights, no activations. It computes in f32 on a CPU (bf16 and f16 checkpoints are
// widened, which is exact; frozen bf16 weights stay in bf16 until they are used); on CUDA a bf16 checkpoint keeps bf16.
class CausalLm {
 public:
  // A Hugging Face folder. Throws DataError: missing or surplus tensors by name, wrong shapes, non-finite weights.
  static CausalLm load(const std::filesystem::path& model_dir, at::Device device, Backend backend);
  static CausalLm load(const std::filesystem::path& model_dir, at::Device device) {
    return load(model_dir, device, default_backend(device));
  }
  // Fresh weights: linears and embeddings N(0, init_std), norms 1; a pure function of the seed.
  static CausalLm create(const HfConfig& config, double init_std, uint64_t seed, at::Device device, Backend backend);
  static CausalLm create(const HfConfig& config, double init_std, uint64_t seed, at::Device device) {
    return create(config, init_std, seed, device, default_backend(device));
  }
  CausalLm(CausalLm&&) = default;
  CausalLm& operator=(CausalLm&&) = default;

  const HfConfig& config() const { return config_; }
  at::Device device() const;
  at::ScalarType dtype() const;  // of activations
  Backend backend() const { return backend_; }
  const std::vector<LinearSite>& sites() const { return sites_; }  // layer by layer q k v o gate up down; lm_head last

  // Hidden states after the final norm, [N, D]; or of some rows, [M] int64 on the batch's device in any order, more
  // than once too: [M, D]. What the last layer does for each row alone is done for those only. Without a cache the
  // batch's segments have kv_slot = -1; with one, all have a slot. Throws DataError when a position is beyond the
  // context length.
  Tensor forward(const TokenBatch& batch, const AdapterStack& stack, KvCache* cache, const Tensor& rows = {}) const;
  // f32 logits of chosen rows: [M, D] -> [M, V]. An adapter on lm_head changes the head only, tied embeddings or not.
  Tensor logits(const Tensor& hidden, const AdapterStack& stack) const;
  // Log-probs of targets and entropies at a temperature, differentiable through the log-probs. Holds the logits of all
  // rows until the backward pass: to be called for some hundred rows at a time.
  //   hidden [M, D], targets [M] int64
  TokenScores token_scores(const Tensor& hidden, const Tensor& targets, double temperature,
                           const AdapterStack& stack) const;

  // The same forward in steps, for activation checkpointing: embed, then layer by layer, then final_norm.
  ForwardPlan plan(const TokenBatch& batch, KvCache* cache, const Tensor& rows = {}) const;
  Tensor embed(const TokenBatch& batch) const;  // [N, D]
  // [N, D] -> [N, D]; the last layer, of the plan's rows: [M, D].
  Tensor layer(int64_t layer_idx, const Tensor& hidden, const ForwardPlan& plan, const AdapterStack& stack,
               KvCache* cache) const;
  Tensor final_norm(const Tensor& hidden) const;
  // All layers and the final norm.
  Tensor layers(const Tensor& embedded, const ForwardPlan& plan, const AdapterStack& stack, KvCache* cache) const;

  // All weights by Hugging Face name, tied head left out; the order of the checkpoint. Trained ones are the model's own
  // tensors; of weights that only the kernels hold these are copies in f32.
  std::vector<NamedTensor> parameters() const;
  bool is_trainable() const { return is_trainable_; }
  void set_trainable(bool is_trainable);  // requires_grad of every weight (full fine-tuning)
  std::string digest() const;             // SHA-256 over the weights
  // SHA-256 over the adapters as this model's forward reads them, one a adapter, joined by "+"; "" = base. On CUDA over
  // a 64-bit checksum of their tensors, which is worked out there.
  std::string policy_digest(const AdapterStack& stack) const;

  // On CUDA one cache at a time uses the memory that the model keeps for it.
  KvCache make_cache(int64_t num_slots, int64_t max_length) const;

  // On CUDA: log-probs of a sequence have the same bits in whatever batch from now on. To be asked for before the first
  // forward of the process, with request_invariant_products() (tensor/cuda.h). Elsewhere nothing.
  void set_exact(bool is_exact) { is_exact_ = is_exact; }
  bool is_exact() const { return is_exact_; }
  // For Backend::kCuda.
  CudaWeights& cuda_weights() const { return *cuda_; }
  const Tensor& rotary() const { return rotary_; }
  Tensor embedding_weight() const { return embedding_->weight(); }
  DecodeEngine& decode_engine() const;

 private:
  using WeightSource = std::function<Tensor(const std::string& name, const std::vector<int64_t>& shape)>;
  CausalLm() = default;
  void fill(const WeightSource& weight);  // asks for every weight that config_ names, in the checkpoint's order
  void finish();                          // sites and the rotary table
  Linear stored(const Tensor& weight) const;
  std::vector<Linear*> linears();
  // The plan's rows for the last layer, all for others.
  Tensor wanted_rows(int64_t layer_idx, const ForwardPlan& plan) const;
  CudaLayer cuda_layer(int64_t layer_idx, const ForwardPlan& plan, const AdapterStack& stack) const;

  HfConfig config_;
  Backend backend_ = Backend::kAten;
  bool is_trainable_ = false;
  at::Device device_ = at::kCPU;
  // Behind pointers: sites_ and graphs of autograd refer to them.
  std::shared_ptr<Linear> embedding_;  // [V, D]
  std::vector<std::shared_ptr<LayerWeights>> layers_;
  Tensor norm_;
  std::shared_ptr<Linear> head_;                       // [V, D]; the embedding itself when tied
  Tensor rotary_;                                      // ops::rotary_table()
  std::shared_ptr<std::vector<SitePanels>> adapters_;  // for Backend::kKernels, of each layer and of the head
  std::shared_ptr<CudaWeights> cuda_;
  std::shared_ptr<KvCache::Memory> cuda_cache_;
  mutable std::shared_ptr<DecodeEngine> decode_engine_;  // made when first asked for
  bool is_exact_ = false;
  std::vector<LinearSite> sites_;
};

}  // namespace noregret
