#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>

#include <cmath>
#include <functional>
#include <numbers>
#include <set>

#include "noregret/base/error.h"
#include "noregret/base/rng.h"
#include "noregret/base/text.h"
#include "noregret/format/safetensors.h"
#include "noregret/nn/causal_lm.h"

namespace noregret {
namespace {

constexpr uint64_t kWeightStream = uint64_t{1} << 32;  // apart from the streams of adapter sites

// N(0, std) by Box and Muller (1958), worked out in f64 on the CPU: every device starts from the same bits.
Tensor random_normal(at::IntArrayRef shape, double std, Rng rng) {
  Tensor tensor = at::empty(shape, at::kFloat);
  auto* data = tensor.mutable_data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - static_cast<double>(rng.uniform())));
    data[i] = static_cast<float>(std * radius * std::cos(2.0 * std::numbers::pi * static_cast<double>(rng.uniform())));
  }
  return tensor;
}

// A CPU computes in f32 whatever the checkpoint's dtype, but where tests have it run the CUDA side.
bool widens(at::Device device, Backend backend) { return device.is_cpu() && backend != Backend::kCuda; }

// The weights of a folder, checked one by one.
class WeightReader {
 public:
  WeightReader(const std::filesystem::path& dir, at::Device device)
      : dir_(dir.string()), folder_(SafetensorsFolder::open(dir)), device_(device) {}

  Tensor read(const std::string& name, const std::vector<int64_t>& want) {
    const std::optional<SafetensorsFolder::Entry> entry = folder_.find(name);
    if (!entry) {
      throw DataError(cat(dir_, ": holds no tensor ", noregret::quoted(name),
                          ", which config.json asks for; the folder is incomplete or its config is another model's"));
    }
    const std::string where = cat(entry->file->path().string(), ": ", name);
    if (entry->info->shape != want) {
      throw DataError(cat(where, " is ", shape_text(entry->info->shape), ", want ", shape_text(want),
                          " by config.json; the two files are not of one model"));
    }
    const Tensor stored = read_tensor(*entry->file, *entry->info);
    if (!stored.is_floating_point()) {
      throw DataError(cat(where, " is ", dtype_name(entry->info->dtype),
                          ", want F32, BF16 or F16; quantized weights are not supported"));
    }
    // bf16 keeps its dtype until a CPU's norms and panels take it up; everything else is f32.
    const bool keeps_dtype = stored.scalar_type() == at::kBFloat16;
    const Tensor tensor = keeps_dtype ? stored : stored.to(at::kFloat);
    if (!all_finite(tensor)) throw DataError(cat(where, " holds NaN or infinity; the file is damaged, fetch it again"));
    used_.insert(name);
    return tensor.to(device_);
  }

  void check_all_used(const HfConfig& config) const {
    for (const std::string& name : folder_.names()) {
      const bool is_tied_head = config.tie_word_embeddings && name == "lm_head.weight";
      if (used_.contains(name) || is_tied_head || name.ends_with("rotary_emb.inv_freq")) continue;
      throw DataError(
          cat(dir_, ": holds tensor ", noregret::quoted(name), ", which a llama model of ", config.num_layers,
              " layers does not have; config.json is another model's, or the architecture is not supported"));
    }
  }

 private:
  std::string dir_;
  SafetensorsFolder folder_;
  at::Device device_;
  std::set<std::string> used_;
};

}  // namespace

Linear CausalLm::stored(const Tensor& weight) const {
  if (backend_ == Backend::kKernels) return Linear::packed(weight);
  return Linear(widens(device_, backend_) ? weight.to(at::kFloat) : weight);
}

void CausalLm::fill(const WeightSource& weight) {
  const HfConfig& c = config_;
  const auto linear = [&](const std::string& name, int64_t out, int64_t in) {
    return stored(weight(name + ".weight", {out, in}));
  };
  const auto norm = [&](const std::string& name) {
    const Tensor values = weight(name + ".weight", {c.hidden_size});
    return widens(device_, backend_) ? values.to(at::kFloat) : values;
  };
  embedding_ = std::make_shared<Linear>(linear("model.embed_tokens", c.vocab_size, c.hidden_size));
  for (int64_t i = 0; i < c.num_layers; ++i) {
    const std::string prefix = cat("model.layers.", i, ".");
    auto layer = std::make_shared<LayerWeights>();
    layer->input_norm = norm(prefix + "input_layernorm");
    layer->q = linear(prefix + "self_attn.q_proj", c.num_heads * c.head_dim, c.hidden_size);
    layer->k = linear(prefix + "self_attn.k_proj", c.num_kv_heads * c.head_dim, c.hidden_size);
    layer->v = linear(prefix + "self_attn.v_proj", c.num_kv_heads * c.head_dim, c.hidden_size);
    layer->o = linear(prefix + "self_attn.o_proj", c.hidden_size, c.num_heads * c.head_dim);
    layer->post_norm = norm(prefix + "post_attention_layernorm");
    layer->gate = linear(prefix + "mlp.gate_proj", c.intermediate_size, c.hidden_size);
    layer->up = linear(prefix + "mlp.up_proj", c.intermediate_size, c.hidden_size);
    layer->down = linear(prefix + "mlp.down_proj", c.hidden_size, c.intermediate_size);
    layers_.push_back(std::move(layer));
  }
  norm_ = norm("model.norm");
  head_ = c.tie_word_embeddings ? embedding_ : std::make_shared<Linear>(linear("lm_head", c.vocab_size, c.hidden_size));
  finish();
}

CausalLm CausalLm::load(const std::filesystem::path& model_dir, at::Device device, Backend backend) {
  CausalLm model;
  model.backend_ = backend;
  model.device_ = device;
  model.config_ = read_hf_config(model_dir);
  WeightReader reader(model_dir, device);
  model.fill([&](const std::string& name, const std::vector<int64_t>& shape) { return reader.read(name, shape); });
  reader.check_all_used(model.config_);
  if (widens(device, backend)) return model;
  for (const auto& [name, tensor] : model.parameters()) {
    if (tensor.scalar_type() == model.dtype()) continue;
    throw DataError(
        cat(model_dir.string(), ": ", name, " has another dtype than the embedding; convert the folder to one dtype"));
  }
  return model;
}

CausalLm CausalLm::create(const HfConfig& config, double init_std, uint64_t seed, at::Device device, Backend backend) {
  CausalLm model;
  model.backend_ = backend;
  model.device_ = device;
  model.config_ = config;
  uint64_t idx = 0;
  model.fill([&](const std::string&, const std::vector<int64_t>& shape) {
    const Rng rng = Rng::stream(seed, Purpose::kInit, {kWeightStream, idx++});
    return (shape.size() == 1 ? at::ones(shape, at::kFloat) : random_normal(shape, init_std, rng)).to(device);
  });
  return model;
}

}  // namespace noregret
