#include "noregret/nn/causal_lm.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>

#include "nn/adapter_panels.h"
#include "nn/aten_head.h"
#include "nn/cpu_layer.h"
#include "nn/cuda_layer.h"
#include "noregret/base/check.h"
#include "noregret/base/text.h"
#include "noregret/nn/decode_engine.h"

namespace noregret {
namespace {

constexpr int64_t kSitesPerLayer = 7;  // q k v o gate up down

// On a device the kernel that takes them looks whether they are rows of the batch.
Tensor checked_rows(const Tensor& rows, const TokenBatch& batch) {
  NOREGRET_CHECK(rows.dim() == 1 && rows.size(0) > 0, "rows of a forward: ", shape_text(rows.sizes()));
  if (rows.is_cpu())
    NOREGRET_CHECK(rows.min().item<int64_t>() >= 0 && rows.max().item<int64_t>() < batch.num_tokens(),
                   "rows of a forward lie beyond its ", batch.num_tokens());
  return rows.contiguous();
}

}  // namespace

Backend default_backend(at::Device device) { return device.is_cpu() ? Backend::kKernels : Backend::kCuda; }

at::Device CausalLm::device() const { return device_; }
at::ScalarType CausalLm::dtype() const { return norm_.scalar_type(); }

void CausalLm::finish() {
  const auto add_site = [&](const std::string& name, std::shared_ptr<const Linear> linear) {
    const int64_t in = linear->in(), out = linear->out();
    sites_.push_back({name, in, out, [linear = std::move(linear)] { return linear->weight().detach(); }});
  };
  for (size_t i = 0; i < layers_.size(); ++i) {
    const std::shared_ptr<LayerWeights>& layer = layers_[i];
    const auto add = [&](const char* name, const Linear& linear) {
      add_site(cat("model.layers.", i, ".", name), std::shared_ptr<const Linear>(layer, &linear));
    };
    add("self_attn.q_proj", layer->q);
    add("self_attn.k_proj", layer->k);
    add("self_attn.v_proj", layer->v);
    add("self_attn.o_proj", layer->o);
    add("mlp.gate_proj", layer->gate);
    add("mlp.up_proj", layer->up);
    add("mlp.down_proj", layer->down);
  }
  add_site("lm_head", head_);
  rotary_ = ops::rotary_table(config_.rope, config_.head_dim, config_.max_positions, device());
  adapters_ = std::make_shared<std::vector<SitePanels>>();
  for (const std::shared_ptr<LayerWeights>& layer : layers_) {
    const LayerWeights& w = *layer;
    adapters_->emplace_back(std::ssize(*adapters_) * kSitesPerLayer,
                            std::vector{&w.q, &w.k, &w.v, &w.o, &w.gate, &w.up, &w.down});
  }
  adapters_->emplace_back(std::ssize(sites_) - 1, std::vector<const Linear*>{head_.get()});
  if (backend_ != Backend::kCuda) return;
  if (dtype() != at::kBFloat16 || !cuda_kernels_can(config_)) {
    backend_ = Backend::kAten;
    return;
  }
  cuda_ = std::make_shared<CudaWeights>();
  cuda_cache_ = std::make_shared<KvCache::Memory>();
  int64_t site = 0;
  for (const std::shared_ptr<LayerWeights>& layer : layers_) {
    LayerWeights& w = *layer;
    cuda_->layers.push_back(std::make_unique<CudaLayerWeights>(
        CudaLayerWeights{FusedLinear({&w.q, &w.k, &w.v}, site), FusedLinear({&w.o}, site + 3),
                         FusedLinear({&w.gate, &w.up}, site + 4), FusedLinear({&w.down}, site + 6)}));
    site += kSitesPerLayer;
  }
  cuda_->head = std::make_unique<FusedLinear>(std::vector<Linear*>{head_.get()}, site);
}

std::vector<NamedTensor> CausalLm::parameters() const {
  std::vector<NamedTensor> tensors = {{"model.embed_tokens.weight", embedding_->weight()}};
  for (size_t i = 0; i < layers_.size(); ++i) {
    const LayerWeights& layer = *layers_[i];
    const std::string prefix = cat("model.layers.", i, ".");
    tensors.emplace_back(prefix + "input_layernorm.weight", layer.input_norm);
    tensors.emplace_back(prefix + "self_attn.q_proj.weight", layer.q.weight());
    tensors.emplace_back(prefix + "self_attn.k_proj.weight", layer.k.weight());
    tensors.emplace_back(prefix + "self_attn.v_proj.weight", layer.v.weight());
    tensors.emplace_back(prefix + "self_attn.o_proj.weight", layer.o.weight());
    tensors.emplace_back(prefix + "post_attention_layernorm.weight", layer.post_norm);
    tensors.emplace_back(prefix + "mlp.gate_proj.weight", layer.gate.weight());
    tensors.emplace_back(prefix + "mlp.up_proj.weight", layer.up.weight());
    tensors.emplace_back(prefix + "mlp.down_proj.weight", layer.down.weight());
  }
  tensors.emplace_back("model.norm.weight", norm_);
  if (!config_.tie_word_embeddings) tensors.emplace_back("lm_head.weight", head_->weight());
  return tensors;
}

std::vector<Linear*> CausalLm::linears() {
  std::vector<Linear*> linears = {embedding_.get(), head_.get()};
  for (const std::shared_ptr<LayerWeights>& layer : layers_) {
    for (Linear* linear : {&layer->q, &layer->k, &layer->v, &layer->o, &layer->gate, &layer->up, &layer->down})
      linears.push_back(linear);
  }
  return linears;
}

void CausalLm::set_trainable(bool is_trainable) {
  is_trainable_ = is_trainable;
  for (Linear* linear : linears()) linear->set_trainable(is_trainable);
  norm_.requires_grad_(is_trainable);
  for (const std::shared_ptr<LayerWeights>& layer : layers_) {
    layer->input_norm.requires_grad_(is_trainable);
    layer->post_norm.requires_grad_(is_trainable);
  }
}

std::string CausalLm::digest() const { return noregret::digest(parameters()); }

std::string CausalLm::policy_digest(const AdapterStack& stack) const {
  if (backend_ == Backend::kKernels) return panels_digest(stack, *adapters_);
  std::vector<std::string> digests;
  for (const Adapter* adapter : stack)
    digests.push_back(backend_ == Backend::kCuda ? fingerprint(*adapter) : adapter->digest());
  return join(digests, "+");
}

KvCache CausalLm::make_cache(int64_t num_slots, int64_t max_length) const {
  if (backend_ == Backend::kCuda) {
    const bool is_lent = cuda_cache_->keys.defined() && cuda_cache_->keys.use_count() > 1;
    KvCache::Memory own;
    return KvCache(config_, num_slots, max_length, device(), is_lent ? own : *cuda_cache_);
  }
  const auto layout = backend_ == Backend::kKernels ? KvCache::Layout::kPages : KvCache::Layout::kSlabs;
  return KvCache(config_, num_slots, max_length, layout, device(), dtype());
}

DecodeEngine& CausalLm::decode_engine() const {
  if (decode_engine_ == nullptr || !decode_engine_->is_for(*this))  // a model may have moved
    decode_engine_ = std::make_shared<DecodeEngine>(*this);
  return *decode_engine_;
}

Tensor CausalLm::forward(const TokenBatch& batch, const AdapterStack& stack, KvCache* cache, const Tensor& rows) const {
  const ForwardPlan forward_plan = plan(batch, cache, rows);
  const Tensor hidden = layers(embed(batch), forward_plan, stack, cache);
  if (cache != nullptr) {
    for (const Segment& segment : batch.segments) cache->advance(segment.kv_slot, segment.length);
  }
  return hidden;
}

ForwardPlan CausalLm::plan(const TokenBatch& batch, KvCache* cache, const Tensor& rows) const {
  ForwardPlan plan;
  if (rows.defined()) plan.rows = checked_rows(rows, batch);
  if (backend_ == Backend::kCuda) {
    plan.cuda = std::make_shared<CudaPlan>(plan_on_cuda(batch, config_, cache, rotary_, is_exact_));
  } else if (backend_ == Backend::kKernels) {
    plan.kernels = std::make_shared<CpuPlan>(plan_on_cpu(batch, config_, cache, rotary_));
  } else {
    plan.aten = ops::plan_attention(batch, config_, cache, rotary_);
    plan.aten.mask = plan.aten.mask.to(dtype());
  }
  return plan;
}

Tensor CausalLm::wanted_rows(int64_t layer_idx, const ForwardPlan& plan) const {
  return layer_idx + 1 == config_.num_layers ? plan.rows : Tensor();
}

CudaLayer CausalLm::cuda_layer(int64_t layer_idx, const ForwardPlan& plan, const AdapterStack& stack) const {
  return {layers_[layer_idx].get(),    cuda_->layers[layer_idx].get(), cuda_.get(), &stack, layer_idx,
          wanted_rows(layer_idx, plan)};
}

Tensor CausalLm::layers(const Tensor& embedded, const ForwardPlan& plan, const AdapterStack& stack,
                        KvCache* cache) const {
  if (backend_ == Backend::kCuda && !at::GradMode::is_enabled()) {
    std::vector<CudaLayer> all;
    for (int64_t i = 0; i < config_.num_layers; ++i) all.push_back(cuda_layer(i, plan, stack));
    return final_norm(layers_on_cuda(all, *plan.cuda, config_, embedded));
  }
  Tensor hidden = embedded;
  for (int64_t i = 0; i < config_.num_layers; ++i) hidden = layer(i, hidden, plan, stack, cache);
  return final_norm(hidden);
}

Tensor CausalLm::embed(const TokenBatch& batch) const { return embedding_->rows(batch.ids); }

Tensor CausalLm::layer(int64_t layer_idx, const Tensor& hidden, const ForwardPlan& plan, const AdapterStack& stack,
                       KvCache* cache) const {
  const LayerWeights& layer = *layers_[layer_idx];
  const int64_t site = layer_idx * kSitesPerLayer;
  const Tensor rows = wanted_rows(layer_idx, plan);
  if (backend_ == Backend::kKernels)
    return forward_on_cpu({&layer, &stack, &(*adapters_)[layer_idx], site, layer_idx, config_.rms_norm_eps, rows},
                          plan.kernels, config_, hidden);
  if (backend_ == Backend::kCuda)
    return forward_on_cuda(cuda_layer(layer_idx, plan, stack), plan.cuda, config_, hidden);
  const int64_t num_heads = config_.num_heads;
  const int64_t num_kv_heads = config_.num_kv_heads;
  const Tensor x = ops::rms_norm(hidden, layer.input_norm, config_.rms_norm_eps);
  const Tensor q = ops::linear(x, layer.q.weight(), stack, site).view({-1, num_heads, config_.head_dim});
  const Tensor k = ops::linear(x, layer.k.weight(), stack, site + 1).view({-1, num_kv_heads, config_.head_dim});
  const Tensor v = ops::linear(x, layer.v.weight(), stack, site + 2).view({-1, num_kv_heads, config_.head_dim});
  const Tensor turned = ops::rotary(at::cat({q, k}, 1), plan.aten.rotation);  // [N, H + K, d]
  const Tensor mixed = ops::attention(turned.narrow(1, 0, num_heads), turned.narrow(1, num_heads, num_kv_heads), v,
                                      plan.aten, cache, layer_idx);
  // embedding() takes rows as index_select() does; its gradient has one order of sums.
  const auto wanted = [&](const Tensor& all) { return rows.defined() ? at::embedding(all, rows) : all; };
  const Tensor attended = ops::linear(wanted(mixed), layer.o.weight(), stack, site + 3)
                              .add_(wanted(hidden));  // to a fresh tensor: in place saves a copy
  const Tensor y = ops::rms_norm(attended, layer.post_norm, config_.rms_norm_eps);
  const Tensor activated = ops::swiglu(ops::linear(y, layer.gate.weight(), stack, site + 4),
                                       ops::linear(y, layer.up.weight(), stack, site + 5));
  return ops::linear(activated, layer.down.weight(), stack, site + 6).add_(attended);
}

Tensor CausalLm::final_norm(const Tensor& hidden) const {
  if (backend_ == Backend::kKernels) return rms_norm_on_cpu(hidden, norm_, config_.rms_norm_eps);
  if (backend_ == Backend::kCuda) return rms_norm_on_cuda(hidden, norm_, config_.rms_norm_eps);
  return ops::rms_norm(hidden, norm_, config_.rms_norm_eps);
}

Tensor CausalLm::logits(const Tensor& hidden, const AdapterStack& stack) const {
  const int64_t site = static_cast<int64_t>(sites_.size()) - 1;
  if (backend_ != Backend::kAten)
    NOREGRET_CHECK(!at::GradMode::is_enabled() || !hidden.requires_grad(), "logits of the kernels have no gradient");
  if (backend_ == Backend::kKernels) return logits_on_cpu({head_.get(), &stack, &adapters_->back(), site}, hidden);
  if (backend_ == Backend::kCuda) return logits_on_cuda(*cuda_, stack, hidden, is_exact_);
  return ops::linear(hidden, head_->weight(), stack, site).to(at::kFloat);
}

TokenScores CausalLm::token_scores(const Tensor& hidden, const Tensor& targets, double temperature,
                                   const AdapterStack& stack) const {
  const int64_t site = static_cast<int64_t>(sites_.size()) - 1;
  if (backend_ == Backend::kKernels)
    return token_scores_on_cpu({head_.get(), &stack, &adapters_->back(), site}, hidden, targets, temperature);
  if (backend_ == Backend::kCuda) return token_scores_on_cuda(*cuda_, stack, hidden, targets, temperature, is_exact_);
  return aten_token_scores(logits(hidden, stack), targets, temperature);
}

}  // namespace noregret
