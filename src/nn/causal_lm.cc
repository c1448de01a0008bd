#include "noregret/nn/causal_lm.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>

#include "noregret/base/text.h"

namespace noregret {
namespace {

constexpr int64_t kSitesPerLayer = 7;  // q k v o gate up down

}  // namespace

at::Device CausalLm::device() const { return embedding_.device(); }
at::ScalarType CausalLm::dtype() const { return embedding_.scalar_type(); }

void CausalLm::finish() {
  const auto add_site = [&](const std::string& name, const Tensor& weight) {
    sites_.push_back({name, weight.size(1), weight.size(0), weight.detach()});
  };
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const std::string prefix = cat("model.layers.", i, ".");
    add_site(prefix + "self_attn.q_proj", layer.q);
    add_site(prefix + "self_attn.k_proj", layer.k);
    add_site(prefix + "self_attn.v_proj", layer.v);
    add_site(prefix + "self_attn.o_proj", layer.o);
    add_site(prefix + "mlp.gate_proj", layer.gate);
    add_site(prefix + "mlp.up_proj", layer.up);
    add_site(prefix + "mlp.down_proj", layer.down);
  }
  add_site("lm_head", head_);
  rotary_ = ops::rotary_table(config_.rope, config_.head_dim, config_.max_positions, device());
}

std::vector<NamedTensor> CausalLm::parameters() const {
  std::vector<NamedTensor> tensors = {{"model.embed_tokens.weight", embedding_}};
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const std::string prefix = cat("model.layers.", i, ".");
    tensors.emplace_back(prefix + "input_layernorm.weight", layer.input_norm);
    tensors.emplace_back(prefix + "self_attn.q_proj.weight", layer.q);
    tensors.emplace_back(prefix + "self_attn.k_proj.weight", layer.k);
    tensors.emplace_back(prefix + "self_attn.v_proj.weight", layer.v);
    tensors.emplace_back(prefix + "self_attn.o_proj.weight", layer.o);
    tensors.emplace_back(prefix + "post_attention_layernorm.weight", layer.post_norm);
    tensors.emplace_back(prefix + "mlp.gate_proj.weight", layer.gate);
    tensors.emplace_back(prefix + "mlp.up_proj.weight", layer.up);
    tensors.emplace_back(prefix + "mlp.down_proj.weight", layer.down);
  }
  tensors.emplace_back("model.norm.weight", norm_);
  if (!config_.tie_word_embeddings) tensors.emplace_back("lm_head.weight", head_);
  return tensors;
}

void CausalLm::set_trainable(bool is_trainable) {
  for (auto& [name, tensor] : parameters()) tensor.requires_grad_(is_trainable);
}

std::string CausalLm::digest() const { return noregret::digest(parameters()); }

KvCache CausalLm::make_cache(int64_t num_slots, int64_t max_length) const {
  return KvCache(config_, num_slots, max_length, device(), dtype());
}

Tensor CausalLm::forward(const TokenBatch& batch, const AdapterStack& stack, KvCache* cache) const {
  const ops::AttentionPlan attention_plan = plan(batch, cache);
  Tensor hidden = embed(batch);
  for (int64_t i = 0; i < config_.num_layers; ++i) hidden = layer(i, hidden, attention_plan, stack, cache);
  if (cache != nullptr) {
    for (const Segment& segment : batch.segments) cache->advance(segment.kv_slot, segment.length);
  }
  return final_norm(hidden);
}

ops::AttentionPlan CausalLm::plan(const TokenBatch& batch, const KvCache* cache) const {
  ops::AttentionPlan plan = ops::plan_attention(batch, config_, cache, rotary_);
  plan.mask = plan.mask.to(dtype());
  return plan;
}

Tensor CausalLm::embed(const TokenBatch& batch) const { return at::embedding(embedding_, batch.ids); }

Tensor CausalLm::layer(int64_t layer_idx, const Tensor& hidden, const ops::AttentionPlan& plan,
                       const AdapterStack& stack, KvCache* cache) const {
  const Layer& layer = layers_[layer_idx];
  const int64_t site = layer_idx * kSitesPerLayer;
  const int64_t num_heads = config_.num_heads;
  const int64_t num_kv_heads = config_.num_kv_heads;
  const Tensor x = ops::rms_norm(hidden, layer.input_norm, config_.rms_norm_eps);
  const Tensor q = ops::linear(x, layer.q, stack, site).view({-1, num_heads, config_.head_dim});
  const Tensor k = ops::linear(x, layer.k, stack, site + 1).view({-1, num_kv_heads, config_.head_dim});
  const Tensor v = ops::linear(x, layer.v, stack, site + 2).view({-1, num_kv_heads, config_.head_dim});
  const Tensor turned = ops::rotary(at::cat({q, k}, 1), plan.rotation);  // [N, H + K, d]
  const Tensor mixed = ops::attention(turned.narrow(1, 0, num_heads), turned.narrow(1, num_heads, num_kv_heads), v,
                                      plan, cache, layer_idx);
  const Tensor attended =
      ops::linear(mixed, layer.o, stack, site + 3).add_(hidden);  // a fresh tensor: in place saves a copy
  const Tensor y = ops::rms_norm(attended, layer.post_norm, config_.rms_norm_eps);
  const Tensor activated =
      ops::swiglu(ops::linear(y, layer.gate, stack, site + 4), ops::linear(y, layer.up, stack, site + 5));
  return ops::linear(activated, layer.down, stack, site + 6).add_(attended);
}

Tensor CausalLm::final_norm(const Tensor& hidden) const { return ops::rms_norm(hidden, norm_, config_.rms_norm_eps); }

Tensor CausalLm::logits(const Tensor& hidden, const AdapterStack& stack) const {
  return ops::linear(hidden, head_, stack, static_cast<int64_t>(sites_.size()) - 1).to(at::kFloat);
}

}  // namespace noregret
