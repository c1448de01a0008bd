#pragma once

#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include <cctype>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "noregret/base/file.h"
#include "noregret/base/text.h"
#include "noregret/nn/model_files.h"
#include "noregret/rollout/env.h"

namespace noregret {

// A model folder: a Llama of 25,000 random weights, large enough that distributions are far from uniform, with the
// tokenizer of one id a byte.
inline void write_tiny_model(const fs::path& folder, int64_t num_layers = 2) {
  HfConfig config;
  config.hidden_size = 32;
  config.intermediate_size = 48;
  config.num_layers = num_layers;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 8;
  config.vocab_size = 258;
  config.max_positions = 48;
  const ModelFiles files = model_files(CausalLm::create(config, 0.3, 1, at::kCPU), {}, "f32");
  fs::create_directories(folder);
  write_file_atomic(folder / "config.json", files.config_json);
  write_file_atomic(folder / "generation_config.json", files.generation_config_json);
  write_file_atomic(folder / "model.safetensors", files.tensor_bytes);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
    fs::copy_file(fs::path(NOREGRET_SOURCE_DIR) / "configs/quickstart/base" / name, folder / name);
  }
}

// One-letter prompts, each with its reference. `on_call` hears of each problem that is asked for, counted from 1,
// before it is given.
class Letters : public TaskSource {
 public:
  using OnCall = std::function<void(int64_t)>;
  static constexpr int64_t kNumLetters = 6;
  explicit Letters(std::vector<std::string> references, OnCall on_call = {})
      : references_(std::move(references)), on_call_(std::move(on_call)) {}
  int64_t size(Split split) const override { return split == Split::kTrain ? kEndless : kNumLetters; }
  Task get(Split split, int64_t index) const override {
    ++num_calls_;
    if (on_call_) on_call_(num_calls_);
    Task task;
    task.id = cat("letters/", split == Split::kTrain ? "train" : "eval", "/", index);
    task.messages = {
        {"user", std::string(1, static_cast<char>((split == Split::kTrain ? 'a' : 'A') + index % kNumLetters))}};
    task.reference = references_[static_cast<size_t>(index % kNumLetters)];
    task.demonstration = task.reference;
    return task;
  }
  std::string digest() const override { return "letters"; }

 private:
  std::vector<std::string> references_;
  OnCall on_call_;
  mutable int64_t num_calls_ = 0;
};

// The letter or digit that the model finds likeliest after each prompt: samples are sometimes right.
inline std::vector<std::string> likely_answers(const fs::path& model_dir) {
  const at::NoGradGuard no_grad;
  const CausalLm model = CausalLm::load(model_dir, at::kCPU);
  std::vector<std::string> answers;
  for (int64_t i = 0; i < Letters::kNumLetters; ++i) {
    const TokenBatch batch{
        at::tensor({'a' + i}, at::kLong), at::tensor({int64_t{0}}, at::kLong), {Segment{0, 1, -1, -1}}};
    const Tensor logits = model.logits(model.forward(batch, {}, nullptr), {})[0];
    char best = 'a';
    for (int c = '0'; c <= 'z'; ++c) {
      if (std::isalnum(c) != 0 && logits[c].item<float>() > logits[best].item<float>()) best = static_cast<char>(c);
    }
    answers.emplace_back(1, best);
  }
  return answers;
}

}  // namespace noregret
