#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "noregret/base/file.h"
#include "noregret/base/json.h"
#include "noregret/base/rng.h"
#include "noregret/base/text.h"
#include "noregret/format/hf_config.h"
#include "noregret/format/peft_config.h"
#include "noregret/format/safetensors.h"
#include "tests/support/process.h"
#include "tests/support/scratch.h"

namespace noregret::e2e {

inline constexpr int64_t kContext = 256;  // tokens, of the model in every working folder
inline constexpr int64_t kVocab = 258;    // ids of configs/quickstart/base: 256 bytes, <|end|>, <|pad|>
inline constexpr int64_t kEndId = 256;

// The program with these arguments, in a folder. One thread: several run at a time.
inline Command noregret(const fs::path& folder, const std::vector<std::string>& args, const std::string& input = "") {
  Command command;
  command.argv = {(fs::path(NOREGRET_BUILD_DIR) / "noregret").string()};
  command.argv.insert(command.argv.end(), args.begin(), args.end());
  command.input = input;
  command.folder = folder;
  command.environment = {"OMP_NUM_THREADS=1", "OMP_WAIT_POLICY=passive"};
  return command;
}

inline ProcessResult run(const fs::path& folder, const std::vector<std::string>& args, const std::string& input = "") {
  return run_process(noregret(folder, args, input));
}

// The same, and it must succeed; returns stdout.
inline std::string output_of(const fs::path& folder, const std::vector<std::string>& args,
                             const std::string& input = "") {
  const ProcessResult result = run(folder, args, input);
  EXPECT_EQ(result.exit_code, 0) << join(args, " ") << "\n" << result.err;
  return result.out;
}

// All commands, as many at a time as there are cores; results in order.
inline std::vector<ProcessResult> run_all(const std::vector<Command>& commands) {
  std::vector<ProcessResult> results(commands.size());
  std::mutex mutex;
  size_t next = 0;
  const auto work = [&] {
    while (true) {
      size_t mine = 0;
      {
        const std::lock_guard lock(mutex);
        if (next == commands.size()) return;
        mine = next++;
      }
      results[mine] = run_process(commands[mine]);
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::max(1U, std::thread::hardware_concurrency()); ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  return results;
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

inline std::vector<Json> json_lines(const std::string& text) {
  std::vector<Json> values;
  for (const std::string& line : lines_of(text)) values.push_back(parse_json(line, "a line of the output"));
  return values;
}

inline std::vector<std::vector<double>> logprobs_of(const std::string& text) {
  std::vector<std::vector<double>> all;
  for (const Json& line : json_lines(text)) all.push_back(line.at("logprobs").get<std::vector<double>>());
  return all;
}

// The largest difference; infinity when the shapes differ.
inline double max_difference(const std::vector<std::vector<double>>& a, const std::vector<std::vector<double>>& b) {
  double largest = 0.0;
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].size() != b[i].size()) return std::numeric_limits<double>::infinity();
    for (size_t j = 0; j < a[i].size(); ++j) largest = std::max(largest, std::abs(a[i][j] - b[i][j]));
  }
  return largest;
}

// Path -> kind, and of files the hash, of everything below a folder.
inline std::map<std::string, std::string> listing(const fs::path& folder) {
  std::map<std::string, std::string> entries;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = fs::relative(entry.path(), folder).string();
    entries[name] = entry.is_regular_file() ? sha256_hex(text_of(entry.path()))
                    : entry.is_directory()  ? "folder"
                                            : "other";
  }
  return entries;
}

inline HfConfig tiny_config(bool is_tied) {
  HfConfig config;
  config.hidden_size = 16;
  config.intermediate_size = 24;
  config.num_layers = 2;
  config.num_heads = 2;
  config.num_kv_heads = 1;
  config.head_dim = 8;
  config.vocab_size = kVocab;
  config.max_positions = kContext;
  config.tie_word_embeddings = is_tied;
  config.eos_token_ids = {kEndId};
  return config;
}

// An f32 tensor of a safetensors file. LibTorch stays out of the test program: its headers cost 10 s a file.
struct Weights {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
};

inline std::vector<Weights> read_weights(const fs::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  std::vector<Weights> all;
  for (const TensorInfo& info : file.tensors()) {
    if (info.dtype != DType::kF32) continue;
    all.push_back({info.name, info.shape, std::vector<float>(info.num_bytes / sizeof(float))});
    file.read(info, std::as_writable_bytes(std::span(all.back().values)));
  }
  return all;
}

inline void write_file(const fs::path& path, std::string_view bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

inline void write_weights(const fs::path& path, const std::vector<Weights>& all) {
  std::vector<TensorBytes> tensors;
  for (const Weights& one : all) {
    const auto* bytes = reinterpret_cast<const char*>(one.values.data());
    tensors.push_back({one.name, DType::kF32, one.shape, {bytes, one.values.size() * sizeof(float)}});
  }
  write_file(path, serialize_safetensors(tensors));
}

inline Weights random_weights(const std::string& name, const std::vector<int64_t>& shape, float bound, Rng& rng) {
  Weights weights{name, shape, {}};
  int64_t size = 1;
  for (const int64_t dimension : shape) size *= dimension;
  for (int64_t i = 0; i < size; ++i) weights.values.push_back(rng.uniform(-bound, bound));
  return weights;
}

struct Site {
  std::string name;
  int64_t out;
  int64_t in;
};

// The linear layers of the model, the head last.
inline std::vector<Site> sites_of(const HfConfig& c) {
  std::vector<Site> sites;
  for (int64_t i = 0; i < c.num_layers; ++i) {
    const std::string layer = cat("model.layers.", i, ".");
    const int64_t heads = c.num_heads * c.head_dim;
    const int64_t kv_heads = c.num_kv_heads * c.head_dim;
    sites.push_back({layer + "self_attn.q_proj", heads, c.hidden_size});
    sites.push_back({layer + "self_attn.k_proj", kv_heads, c.hidden_size});
    sites.push_back({layer + "self_attn.v_proj", kv_heads, c.hidden_size});
    sites.push_back({layer + "self_attn.o_proj", c.hidden_size, heads});
    sites.push_back({layer + "mlp.gate_proj", c.intermediate_size, c.hidden_size});
    sites.push_back({layer + "mlp.up_proj", c.intermediate_size, c.hidden_size});
    sites.push_back({layer + "mlp.down_proj", c.hidden_size, c.intermediate_size});
  }
  sites.push_back({"lm_head", c.vocab_size, c.hidden_size});
  return sites;
}

// What the model says is mostly one of these ids: with a constant in the first channel of every embedding, the first
// column of the head acts as a bias.
inline void prefer(Weights& embedding, Weights& head, int64_t width, const std::vector<int64_t>& ids) {
  for (int64_t id = 0; id < kVocab; ++id) {
    embedding.values[id * width] = 10.0F;  // the others have about 0.3
    head.values[id * width] = 0.0F;
  }
  for (const int64_t id : ids) head.values[id * width] = 2.0F;  // a logit of about 8: the norm makes it 4, root of 16
}

inline void write_model(const HfConfig& config, const fs::path& dir) {
  Rng rng(5);
  std::vector<Weights> all = {
      random_weights("model.embed_tokens.weight", {config.vocab_size, config.hidden_size}, 0.5F, rng)};
  for (const Site& site : sites_of(config)) {
    const bool is_left_out = site.name == "lm_head" && config.tie_word_embeddings;
    if (!is_left_out) all.push_back(random_weights(site.name + ".weight", {site.out, site.in}, 0.5F, rng));
  }
  if (!config.tie_word_embeddings) prefer(all.front(), all.back(), config.hidden_size, {'0', '1', '2', '3', kEndId});
  std::vector<std::string> norms = {"model.norm.weight"};
  for (int64_t i = 0; i < config.num_layers; ++i) {
    norms.push_back(cat("model.layers.", i, ".input_layernorm.weight"));
    norms.push_back(cat("model.layers.", i, ".post_attention_layernorm.weight"));
  }
  for (const std::string& name : norms) {
    all.push_back({name, {config.hidden_size}, std::vector<float>(static_cast<size_t>(config.hidden_size), 1.0F)});
  }
  write_weights(dir / "model.safetensors", all);
  write_file(dir / "config.json", write_hf_config(config));
  write_file(dir / "generation_config.json", write_generation_config(config));
  const fs::path tokenizer = fs::path(NOREGRET_SOURCE_DIR) / "configs/quickstart/base";
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) fs::copy(tokenizer / name, dir / name);
}

// A PEFT adapter of the model whose B is not 0.
inline void write_adapter(const HfConfig& model, int64_t rank, const fs::path& dir) {
  Rng rng(11);
  std::vector<Weights> all;
  PeftConfig config;
  config.rank = rank;
  config.base_model = "model";
  for (const Site& site : sites_of(model)) {
    const std::string prefix = "base_model.model." + site.name;
    all.push_back(random_weights(prefix + ".lora_A.weight", {rank, site.in}, 0.25F, rng));
    all.push_back(random_weights(prefix + ".lora_B.weight", {site.out, rank}, 0.1F, rng));
    const std::string module = site.name.substr(site.name.rfind('.') + 1);
    std::vector<std::string>& targets = config.target_modules;
    if (std::find(targets.begin(), targets.end(), module) == targets.end()) targets.push_back(module);
  }
  write_weights(dir / "adapter_model.safetensors", all);
  write_file(dir / "adapter_config.json", write_peft_config(config));
}

inline const char* const kRlConfig = R"(mode: rl
seed: 3
device: cpu
threads: 1
model: {path: model, chat_template: none}
adapter: {rank: 2}
task: {name: gsm8k, path: digits.jsonl, eval_path: digits.jsonl, instruction: ""}
rollout: {groups: 4, group_size: 4, max_new_tokens: 1}
rewards:
  - plugin: gsm8k_answer
    options: {strict: false}
    weight: 0.1
  - plugin: exact_match
optimizer: {lr: 1e-2}
train: {steps: 4, save_every: 2}
eval: {limit: 2}
log: {samples_every: 0}
)";

inline const char* const kSftConfig = R"(mode: sft
seed: 3
device: cpu
threads: 1
model: {path: model, chat_template: none}
adapter: {rank: 2}
data: {path: rows.jsonl, batch_size: 4}
optimizer: {lr: 1e-2}
train: {steps: 4, save_every: 2}
log: {samples_every: 0}
)";

// The digits 0 to 3, to be echoed.
inline std::string digit_problems() {
  std::string text;
  for (int i = 0; i < 8; ++i) text += cat("{\"question\": \"", i % 4, "?\", \"answer\": \"#### ", i % 4, "\"}\n");
  return text;
}

inline std::string sft_rows() {
  std::string text;
  for (int i = 0; i < 10; ++i)
    text += cat("{\"prompt\": \"", i, " and ", i + 1, "? \", \"completion\": \"", 2 * i + 1, "\"}\n");
  return text;
}

// A folder with a good one of everything: model/, tied/, adapter/, rl.yaml, sft.yaml and their data, texts.jsonl for
// filters, items.jsonl for rewards. What a model says is mostly a digit from 0 to 3 or the end.
inline const fs::path& good_folder() {
  static const ScratchDir folder;  // as long as the program: working folders are copied from it
  static const bool is_filled = [] {
    write_model(tiny_config(false), folder.path() / "model");
    write_model(tiny_config(true), folder.path() / "tied");
    write_adapter(tiny_config(false), 2, folder.path() / "adapter");
    folder.write("rl.yaml", kRlConfig);
    folder.write("sft.yaml", kSftConfig);
    folder.write("digits.jsonl", digit_problems());
    folder.write("rows.jsonl", sft_rows());
    folder.write("texts.jsonl", "{\"text\": \"0? 3\"}\n{\"text\": \"words\"}\n");
    folder.write("items.jsonl", "{\"prompt\": \"2?\", \"completion\": \"2\", \"reference\": \"2\"}\n");
    return true;
  }();
  static_cast<void>(is_filled);
  return folder.path();
}

// A working folder: a copy of good_folder().
class WorkDir : public ScratchDir {
 public:
  WorkDir() { fs::copy(good_folder(), path(), fs::copy_options::recursive | fs::copy_options::overwrite_existing); }
};

}  // namespace noregret::e2e
