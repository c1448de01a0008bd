// Models, tokenizers, adapters and GGUF files that are missing, damaged or do not fit: exit code 65.
#include <cmath>
#include <cstring>

#include "tests/e2e/bad_input.h"

namespace noregret::e2e {
namespace {

constexpr int kData = 65;
constexpr int kIo = 74;
constexpr int kConfig = 78;

const std::vector<std::string> kWeightVerbs = {"train", "eval", "generate", "score"};
const std::vector<std::string> kConfigVerbs = {"train", "eval", "generate", "score", "check"};
const std::vector<std::string> kTokenizerVerbs = {"train", "eval", "generate", "score", "check", "tokenize"};

const std::vector<std::string> kTwoVerbs = {"train", "generate"};  // for variants: a process costs half a second

std::function<void(const fs::path&)> in_file(const std::string& file, const std::string& from, const std::string& to) {
  return [=](const fs::path& folder) { replace_in(folder / file, from, to); };
}

std::function<void(const fs::path&)> without(const std::string& path) {
  return [=](const fs::path& folder) { fs::remove_all(folder / path); };
}

std::function<void(const fs::path&)> weights(const std::function<void(std::vector<Weights>&)>& change) {
  return [=](const fs::path& folder) { change_weights(folder / "model/model.safetensors", change); };
}

const char* const kNorm = "model.norm.weight";

Weights& named(std::vector<Weights>& all, const std::string& part) {
  for (Weights& one : all) {
    if (one.name.find(part) != std::string::npos) return one;
  }
  throw std::runtime_error("no tensor " + part);
}

void cut_last_dimension(Weights& weights) {
  const auto width = static_cast<size_t>(weights.shape.back()--);
  std::vector<float> kept;
  for (size_t i = 0; i < weights.values.size(); ++i) {
    if (i % width + 1 < width) kept.push_back(weights.values[i]);
  }
  weights.values = kept;
}

BadInputTable& models() {
  static BadInputTable table({
      at_verbs(kTokenizerVerbs, {"NoFolder", {}, kData, {"model", "no such f"}, without("model")}),
      at_verbs(kConfigVerbs,
               {"NoConfigJson", {}, kData, {"model/config.json", "no such file"}, without("model/config.json")}),
      at_verbs(kTwoVerbs, {"ConfigJsonIsNoJson",
                           {},
                           kData,
                           {"model/config.json", "not JSON at", "column"},
                           in_file("model/config.json", "{", "{,")}),
      at_verbs(kConfigVerbs, {"ArchitectureNotSupported",
                              {},
                              kData,
                              {"model/config.json", "model_type", "'qwen9'", "want 'llama'"},
                              in_file("model/config.json", "\"llama\"", "\"qwen9\"")}),
      at_verbs(kTwoVerbs, {"SizeMissing",
                           {},
                           kData,
                           {"model/config.json", "hidden_size", "missing"},
                           in_file("model/config.json", "hidden_size", "hiden_size")}),
      at_verbs(kTwoVerbs, {"SizeThatNoMemoryHolds",
                           {},
                           kData,
                           {"model/config.json", "vocab_size", "want 1 to"},
                           in_file("model/config.json", "\"vocab_size\": 258", "\"vocab_size\": 4611686018427387904")}),
      at_verbs(kWeightVerbs, {"NoWeights",
                              {},
                              kData,
                              {"model", "model.safetensors", "name the folder of a model"},
                              without("model/model.safetensors")}),
      at_verbs(kWeightVerbs, {"WeightsCutOff",
                              {},
                              kData,
                              {"model/model.safetensors", "fetch"},
                              [](const fs::path& folder) { cut_in_half(folder / "model/model.safetensors"); }}),
      at_verbs(kTwoVerbs, {"WeightsEmpty",
                           {},
                           kData,
                           {"model/model.safetensors", "fetch"},
                           [](const fs::path& folder) { fs::resize_file(folder / "model/model.safetensors", 0); }}),
      at_verbs(kWeightVerbs, {"TensorOfAnotherShape",
                              {},
                              kData,
                              {"model/model.safetensors", kNorm, "[15]", "want [16]"},
                              weights([](auto& all) { cut_last_dimension(named(all, kNorm)); })}),
      at_verbs(kWeightVerbs,
               {"TensorMissing", {}, kData, {"model", "holds no tensor", kNorm, "config.json"}, weights([](auto& all) {
                  std::erase_if(all, [](const Weights& one) { return one.name == kNorm; });
                })}),
      at_verbs(kWeightVerbs,
               {"TensorSurplus", {}, kData, {"model", "'model.extra.weight'", "config.json"}, weights([](auto& all) {
                  all.push_back({"model.extra.weight", {1}, {0.0F}});
                })}),
      at_verbs(kTwoVerbs,
               {"WeightsNotFinite", {}, kData, {"model/model.safetensors", kNorm, "NaN"}, weights([](auto& all) {
                  named(all, kNorm).values[3] = std::nanf("");
                })}),
      at_verbs(kTokenizerVerbs,
               {"NoTokenizer", {}, kData, {"model/tokenizer.json", "no such file"}, without("model/tokenizer.json")}),
      at_verbs(kTokenizerVerbs, {"TokenizerNoJson",
                                 {},
                                 kData,
                                 {"model/tokenizer.json", "not JSON at line"},
                                 [](const fs::path& folder) { cut_in_half(folder / "model/tokenizer.json"); }}),
      at_verbs(kTwoVerbs, {"TokenizerOfAnotherKind",
                           {},
                           kData,
                           {"model/tokenizer.json", "'Unigram'", "BPE"},
                           in_file("model/tokenizer.json", "\"type\": \"BPE\"", "\"type\": \"Unigram\"")}),
      at_verbs(kTwoVerbs, {"TokenizerConfigNoJson",
                           {},
                           kData,
                           {"model/tokenizer_config.json", "not JSON"},
                           in_file("model/tokenizer_config.json", "{", "")}),
      at_verbs(kConfigVerbs, {"TokenizerLargerThanTheModel",
                              {},
                              kData,
                              {"model", "260", "vocab_size is 258"},
                              in_file("model/tokenizer.json", "\"id\": 257", "\"id\": 259")}),
  });
  return table;
}

// The flag or key that each verb takes an adapter by.
std::vector<BadInput> with_adapter(const BadInput& bad,
                                   const std::vector<std::string>& verbs = {"train", "eval", "generate", "score"}) {
  std::vector<BadInput> rows;
  for (const std::string& verb : verbs) {
    BadInput row = bad;
    const bool is_config_key = verb == "train" || verb == "check";
    row.args = is_config_key ? std::vector<std::string>{"--set", "adapter.init_from=adapter"}
                             : std::vector<std::string>{"--adapter", "adapter"};
    rows.push_back(at_verbs({verb}, row).front());
  }
  return rows;
}

std::function<void(const fs::path&)> adapter(const std::function<void(std::vector<Weights>&)>& change) {
  return [=](const fs::path& folder) { change_weights(folder / "adapter/adapter_model.safetensors", change); };
}

const char* const kAdapterFile = "adapter/adapter_model.safetensors";

BadInputTable& adapters() {
  static BadInputTable table({
      with_adapter({"NoFolder",
                    {},
                    kData,
                    {"adapter", "no such folder", "want a run, a checkpoint or an adapter"},
                    without("adapter")},
                   {"train", "eval", "generate", "score", "check"}),
      with_adapter({"EmptyFolder",
                    {},
                    kData,
                    {"adapter", "adapter_model.safetensors"},
                    [](const fs::path& folder) {
                      fs::remove_all(folder / "adapter");
                      fs::create_directory(folder / "adapter");
                    }}),
      with_adapter({"NoAdapterConfig",
                    {},
                    kData,
                    {"adapter/adapter_config.json", "no such file"},
                    without("adapter/adapter_config.json")}),
      with_adapter({"CutOff",
                    {},
                    kData,
                    {kAdapterFile, "fetch"},
                    [](const fs::path& folder) { cut_in_half(folder / kAdapterFile); }}),
      with_adapter(
          {"OfAnotherShape", {}, kData, {kAdapterFile, "lora_A", "[2, 15]", "want [2, 16]"}, adapter([](auto& all) {
             cut_last_dimension(named(all, "layers.0.self_attn.q_proj.lora_A"));
           })}),
      with_adapter({"OfAnotherRankThanItsConfig",
                    {},
                    kData,
                    {kAdapterFile, "[2, 16]", "want [3, 16]", "rank"},
                    in_file("adapter/adapter_config.json", "\"r\": 2", "\"r\": 3")}),
      with_adapter({"NotFinite", {}, kData, {kAdapterFile, "lora_B", "NaN"}, adapter([](auto& all) {
                      named(all, "lora_B").values[0] = std::nanf("");
                    })}),
      with_adapter({"AlphaZero",
                    {},
                    kData,
                    {"adapter/adapter_config.json", "lora_alpha is 0", "want more than 0"},
                    in_file("adapter/adapter_config.json", "\"lora_alpha\": 32", "\"lora_alpha\": 0")}),
      with_adapter({"TargetMisspelt",
                    {},
                    kData,
                    {"adapter/adapter_config.json", "target_modules", "'q_prj'", "did you mean 'q_proj'?"},
                    in_file("adapter/adapter_config.json", "\"q_proj\"", "\"q_prj\"")}),
      {
          {"RankOtherThanInitFrom",
           call("train") + std::vector<std::string>{"--set", "adapter.init_from=adapter", "--set", "adapter.rank=4"},
           kConfig,
           {"adapter.rank is 4", "has 2", "set adapter.rank: 2"}},
          {"AlphaOtherThanInitFrom",
           call("train") + std::vector<std::string>{"--set", "adapter.init_from=adapter", "--set", "adapter.alpha=16"},
           kConfig,
           {"adapter.alpha is 16", "has 32", "set adapter.alpha: 32"}},
          {"ConfigTargetMisspelt",
           call("train") + std::vector<std::string>{"--set", "adapter.targets=[q_prj]"},
           kConfig,
           {"adapter.targets", "'q_prj'", "did you mean 'q_proj'?"}},
          {"ConfigTargetsEmpty",
           call("train") + std::vector<std::string>{"--set", "adapter.targets=[]"},
           kConfig,
           {"adapter.targets", "want"}},
      },
  });
  return table;
}

// A GGUF file (ggml docs/gguf.md) without metadata and with one tensor of this ggml type.
std::string gguf(const char* magic, uint32_t type) {
  std::string bytes = magic;
  const auto put = [&bytes](auto value) {
    char raw[sizeof value];
    std::memcpy(raw, &value, sizeof value);
    bytes.append(raw, sizeof raw);
  };
  put(uint32_t{3});  // version
  put(uint64_t{1});  // tensors
  put(uint64_t{0});  // keys
  put(uint64_t{4});
  bytes += "test";
  put(uint32_t{1});    // dimensions
  put(uint64_t{256});  // elements
  put(type);
  put(uint64_t{0});  // offset
  bytes.resize((bytes.size() + 31) / 32 * 32 + 1024);
  return bytes;
}

std::function<void(const fs::path&)> gguf_file(const std::string& bytes) {
  return [=](const fs::path& folder) { append_to(folder / "a.gguf", bytes); };
}

BadInputTable& ggufs() {
  constexpr uint32_t kF32 = 0;
  constexpr uint32_t kQ6K = 14;
  const std::vector<std::string> import = {"import", "a.gguf", "out"};
  static BadInputTable table({{
      {"Missing", import, kData, {"a.gguf", "no such file"}},
      {"Empty", import, kData, {"a.gguf", "cut off"}, gguf_file("")},
      {"WrongMagic", import, kData, {"a.gguf", "'GGUF'", "no GGUF file"}, gguf_file(gguf("GGML", kF32))},
      {"TypeNotSupported", import, kData, {"a.gguf", "'test'", "Q6_K", "want one of"}, gguf_file(gguf("GGUF", kQ6K))},
      {"CutOffInTheHeader", import, kData, {"a.gguf", "cut off"}, gguf_file(gguf("GGUF", kF32).substr(0, 40))},
      {"CutOffInTheData", import, kData, {"a.gguf", "'test'", "cut off"}, gguf_file(gguf("GGUF", kF32).substr(0, 300))},
      {"WithoutArchitecture", import, kData, {"a.gguf", "general.architecture"}, gguf_file(gguf("GGUF", kF32))},
      {"ToAnExistingFolder",
       {"import", "a.gguf", "model"},
       kIo,
       {"model", "exists already", "name another folder"},
       gguf_file(gguf("GGUF", kF32))},
  }});
  return table;
}

class BadModel : public BadInputCase {};
TEST_P(BadModel, IsOneLineWithPlaceAndFixAndLeavesNothing) { models().check(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Folder, BadModel, testing::Range(size_t{0}, models().size()), case_names(models()));

class BadAdapter : public BadInputCase {};
TEST_P(BadAdapter, IsOneLineWithPlaceAndFixAndLeavesNothing) { adapters().check(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Folder, BadAdapter, testing::Range(size_t{0}, adapters().size()), case_names(adapters()));

class BadGguf : public BadInputCase {};
TEST_P(BadGguf, IsOneLineWithPlaceAndFixAndLeavesNothing) { ggufs().check(GetParam()); }
INSTANTIATE_TEST_SUITE_P(File, BadGguf, testing::Range(size_t{0}, ggufs().size()), case_names(ggufs()));

}  // namespace
}  // namespace noregret::e2e
