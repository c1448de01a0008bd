#pragma once

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "noregret/base/file.h"
#include "noregret/base/json.h"
#include "noregret/base/rng.h"
#include "noregret/nn/causal_lm.h"

namespace noregret {

// f32 sums in another order: 1e-6 to 1e-5 on these models. A wrong weight, position or scale moves log-probs by 0.01
// and more.
inline constexpr double kLogprobTolerance = 1e-4;

inline fs::path golden_dir() { return fs::path(NOREGRET_SOURCE_DIR) / "tests/golden/nn"; }

inline CausalLm golden_model(const std::string& name) { return CausalLm::load(golden_dir() / name, at::kCPU); }

struct Scored {
  std::vector<int64_t> ids;
  std::vector<double> logprobs;  // one fewer than ids
};

inline std::vector<Scored> scored_from(const Json& array) {
  std::vector<Scored> sequences;
  for (const Json& entry : array) {
    sequences.push_back({entry["ids"].get<std::vector<int64_t>>(), entry["logprobs"].get<std::vector<double>>()});
  }
  return sequences;
}

// What transformers and PEFT gave; tests/golden/nn/make_goldens.py.
inline Json golden_logprobs() {
  const fs::path path = golden_dir() / "logprobs.json";
  return parse_json(read_file(path), path.string());
}

inline TokenBatch batch_of(const std::vector<std::vector<int64_t>>& sequences) {
  std::vector<int64_t> ids;
  std::vector<int64_t> positions;
  TokenBatch batch;
  for (const std::vector<int64_t>& sequence : sequences) {
    batch.segments.push_back(Segment{static_cast<int64_t>(ids.size()), static_cast<int64_t>(sequence.size()), -1, -1});
    ids.insert(ids.end(), sequence.begin(), sequence.end());
    for (size_t i = 0; i < sequence.size(); ++i) positions.push_back(static_cast<int64_t>(i));
  }
  batch.ids = at::tensor(ids, at::kLong);
  batch.positions = at::tensor(positions, at::kLong);
  return batch;
}

inline Tensor logits_of(const CausalLm& model, const AdapterStack& stack, const TokenBatch& batch) {
  return model.logits(model.forward(batch, stack, nullptr), stack);
}

// Of each row for its own id as the next one: something to differentiate.
inline Tensor logprobs_of(const CausalLm& model, const AdapterStack& stack, const TokenBatch& batch) {
  return model.token_scores(model.forward(batch, stack, nullptr), batch.ids, 1.0, stack).logprobs;
}

// Teacher-forced log-probs of ids[1:].
inline std::vector<double> score(const CausalLm& model, const AdapterStack& stack, const std::vector<int64_t>& ids) {
  const at::NoGradGuard no_grad;
  const Tensor logprobs = at::log_softmax(logits_of(model, stack, batch_of({ids})).to(at::kDouble), 1);
  std::vector<double> picked;
  for (size_t i = 0; i + 1 < ids.size(); ++i)
    picked.push_back(logprobs[static_cast<int64_t>(i)][ids[i + 1]].item<double>());
  return picked;
}

inline double max_difference(const Tensor& a, const Tensor& b) { return a.sub(b).abs().max().item<double>(); }

// Values for B, so that an adapter changes something; a pure function of the seed.
inline void fill_b(const Adapter& adapter, float scale, uint64_t seed) {
  const at::NoGradGuard no_grad;
  Rng rng(seed);
  for (const auto& [name, tensor] : adapter.parameters()) {
    if (name.find("lora_B") == std::string::npos) continue;
    const Tensor values = at::empty(tensor.sizes(), at::kFloat);  // wherever the adapter lies
    auto* data = values.mutable_data_ptr<float>();
    for (int64_t i = 0; i < tensor.numel(); ++i) data[i] = rng.uniform(-scale, scale);
    Tensor(tensor).copy_(values);  // as an optimizer writes: what is packed from the tensor follows
  }
}

inline AdapterOptions adapter_options(int64_t rank, double alpha, std::vector<std::string> targets = {"all"}) {
  AdapterOptions options;
  options.rank = rank;
  options.alpha = alpha;
  options.targets = std::move(targets);
  return options;
}

inline HfConfig tiny_config() {
  HfConfig config;
  config.hidden_size = 16;
  config.intermediate_size = 24;
  config.num_layers = 2;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 6;
  config.vocab_size = 20;
  config.max_positions = 48;
  return config;
}

inline CausalLm tiny_model() { return CausalLm::create(tiny_config(), 0.3, 1, at::kCPU); }

inline std::vector<int64_t> some_ids(int64_t length, int64_t start) {
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < length; ++i) ids.push_back((start + 3 * i + i * i) % 20);
  return ids;
}

// A folder that is removed with its content.
class TempFolder {
 public:
  explicit TempFolder(const std::string& name) : path_(fs::path(testing::TempDir()) / ("noregret_nn_" + name)) {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~TempFolder() { fs::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const fs::path& path() const { return path_; }
  void copy_from(const fs::path& folder) const {
    for (const auto& entry : fs::directory_iterator(folder))
      fs::copy_file(entry.path(), path_ / entry.path().filename());
  }

 private:
  fs::path path_;
};

// what() of the error that `action` throws, or "" and a failure.
template <class ErrorType, class Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const ErrorType& e) {
    return e.what();
  }
  ADD_FAILURE() << "no such error";
  return "";
}

}  // namespace noregret
