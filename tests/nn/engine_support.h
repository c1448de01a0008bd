#pragma once

#include <cstring>

#include "noregret/kernels/isa.h"
#include "noregret/tensor/device.h"
#include "noregret/tensor/threads.h"
#include "tests/nn/nn_support.h"

namespace noregret {

// The instruction set and the number of threads of a scope.
class EngineSetting {
 public:
  EngineSetting(kernels::Isa isa, int num_threads)
      : isa_before_(kernels::current_isa()), threads_before_(noregret::num_threads()) {
    kernels::force_isa(isa);
    set_num_threads(num_threads);
  }
  ~EngineSetting() {
    kernels::force_isa(isa_before_);
    set_num_threads(threads_before_);
  }
  EngineSetting(const EngineSetting&) = delete;
  EngineSetting& operator=(const EngineSetting&) = delete;

 private:
  kernels::Isa isa_before_;
  int threads_before_;
};

inline size_t num_settings() { return kernels::supported_isas().size() * 3; }

// visit(index) on every instruction set of this CPU with 1, 2 and 3 threads.
template <class Visit>
void for_each_setting(const Visit& visit) {
  size_t index = 0;
  for (const kernels::Isa isa : kernels::supported_isas()) {
    for (const int num_threads : {1, 2, 3}) {
      SCOPED_TRACE(std::string(kernels::isa_name(isa)) + ", " + std::to_string(num_threads) + " threads");
      const EngineSetting setting(isa, num_threads);
      visit(index++);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

// As bits: -0 is not 0, and a NaN is itself.
inline void expect_same_bits(const Tensor& got, const Tensor& want, const std::string& what = "") {
  ASSERT_EQ(got.sizes(), want.sizes()) << what;
  ASSERT_EQ(got.scalar_type(), at::kFloat) << what;
  ASSERT_EQ(want.scalar_type(), at::kFloat) << what;
  const Tensor a = got.detach().contiguous(), b = want.detach().contiguous();
  const auto *x = a.const_data_ptr<float>(), *y = b.const_data_ptr<float>();
  if (std::memcmp(x, y, static_cast<size_t>(a.numel()) * sizeof(float)) == 0) return;
  int64_t i = 0;
  while (std::memcmp(x + i, y + i, sizeof(float)) == 0) ++i;
  FAIL() << what << ": element " << i << " of " << a.numel() << " is " << x[i] << ", not " << y[i] << "; apart by "
         << max_difference(a, b) << " at most";
}

// A tiny model with sizes that fill no panel.
struct EngineShape {
  const char* name;
  int64_t num_heads, num_kv_heads, head_dim, hidden_size, intermediate_size, vocab_size;
  bool is_tied, is_bf16;
};
inline constexpr EngineShape kEngineShapes[] = {
    {"Group1TiedF32", 5, 5, 6, 14, 514, 53, true, false},     {"Group2UntiedBf16", 4, 2, 64, 22, 30, 131, false, true},
    {"Group3TiedBf16", 3, 1, 16, 35, 41, 300, true, true},    {"Group7UntiedF32", 7, 1, 6, 21, 33, 77, false, false},
    {"Group8UntiedBf16", 8, 1, 12, 37, 72, 261, false, true},
};

inline HfConfig engine_config(const EngineShape& shape) {
  HfConfig config;
  config.hidden_size = shape.hidden_size;
  config.intermediate_size = shape.intermediate_size;
  config.num_layers = 2;
  config.num_heads = shape.num_heads;
  config.num_kv_heads = shape.num_kv_heads;
  config.head_dim = shape.head_dim;
  config.vocab_size = shape.vocab_size;
  config.max_positions = 72;
  config.tie_word_embeddings = shape.is_tied;
  return config;
}

// Weights of the seed, rounded to bf16 and read from a folder that holds them so.
inline CausalLm bf16_model(HfConfig config, double init_std, uint64_t seed, Backend backend,
                           at::Device device = at::kCPU) {
  std::vector<NamedTensor> tensors = CausalLm::create(config, init_std, seed, at::kCPU, Backend::kAten).parameters();
  for (auto& [name, tensor] : tensors) tensor = tensor.to(at::kBFloat16);
  config.dtype = "bfloat16";
  const TempFolder folder("bf16");
  write_file_atomic(folder.path() / "config.json", write_hf_config(config));
  write_file_atomic(folder.path() / "model.safetensors", tensors_to_bytes(tensors));
  return CausalLm::load(folder.path(), device, backend);
}

inline CausalLm engine_model(const EngineShape& shape, Backend backend = Backend::kKernels) {
  const HfConfig config = engine_config(shape);
  if (shape.is_bf16) return bf16_model(config, 0.2, 1, backend);
  return CausalLm::create(config, 0.2, 1, at::kCPU, backend);
}

// An adapter with B away from 0.
inline Adapter engine_adapter(const CausalLm& model, int64_t rank, uint64_t seed,
                              std::vector<std::string> targets = {"all"}) {
  Adapter adapter = Adapter::create(
      model.sites(), adapter_options(rank, 2.0 * static_cast<double>(rank), std::move(targets)), seed, at::kCPU);
  fill_b(adapter, 0.1f, seed);
  return adapter;
}

}  // namespace noregret
