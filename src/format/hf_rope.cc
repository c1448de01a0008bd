#include "format/hf_rope.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "noregret/base/check.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

using Type = RopeOptions::Type;

constexpr const char* kOriginal = "original_max_position_embeddings";
constexpr double kDefaultTheta = 10000.0;
constexpr int64_t kMaxPositions = int64_t{1} << 24;

struct TypeRow {
  Type type;
  const char* name;
  std::vector<std::string> keys;  // besides rope_type, type, rope_theta, partial_rotary_factor
};

const std::array<TypeRow, 5>& type_rows() {
  static const std::array<TypeRow, 5> rows = {
      {{Type::kDefault, "default", {}},
       {Type::kLinear, "linear", {"factor"}},
       {Type::kDynamic, "dynamic", {"factor", kOriginal}},
       {Type::kLlama3, "llama3", {"factor", "low_freq_factor", "high_freq_factor", kOriginal}},
       {Type::kYarn, "yarn", {"factor", kOriginal, "beta_fast", "beta_slow", "attention_factor", "truncate"}}}};
  return rows;
}

const TypeRow& row_of(const KeyReader& rope) {
  for (const char* key : {"rope_type", "type"}) {
    if (!rope.has(key)) continue;
    const std::string name = rope.string(key);
    std::vector<std::string> known;
    for (const TypeRow& row : type_rows()) {
      if (row.name == name) return row;
      known.push_back(row.name);
    }
    rope.fail(key, cat("is ", quoted(name), ", want one of ", join(known, " "), did_you_mean(name, known)));
  }
  return type_rows()[0];
}

void check_whole_heads(const KeyReader& reader) {
  if (reader.has("partial_rotary_factor") && reader.number("partial_rotary_factor") != 1.0) {
    reader.fail("partial_rotary_factor", "is not 1; rotating a part of each head is not supported");
  }
}

void check_keys(const KeyReader& rope, const TypeRow& row) {
  for (const auto& [key, value] : rope.object().items()) {
    const bool is_common = key == "rope_type" || key == "type" || key == "rope_theta" || key == "partial_rotary_factor";
    if (is_common || value.is_null() || std::count(row.keys.begin(), row.keys.end(), key) > 0) continue;
    rope.fail(quoted(key),
              cat("is not known for the type ", row.name, "; it may change the rotation, remove it if not"));
  }
  check_whole_heads(rope);
  if (!rope.boolean_or("truncate", true)) rope.fail("truncate", "is false, which is not supported");
}

double factor_of(const KeyReader& rope) {
  const double factor = rope.positive("factor");
  if (factor < 1.0) rope.fail("factor", cat("is ", factor, ", want at least 1"));
  return factor;
}

void read_llama3(const KeyReader& rope, RopeOptions& options) {
  options.low_freq_factor = rope.positive("low_freq_factor");
  options.high_freq_factor = rope.positive("high_freq_factor");
  options.original_max_positions = rope.integer(kOriginal, 1, kMaxPositions);
  if (options.low_freq_factor >= options.high_freq_factor) {
    rope.fail("low_freq_factor",
              cat("is ", options.low_freq_factor, ", want less than high_freq_factor ", options.high_freq_factor));
  }
}

void read_yarn(const KeyReader& rope, RopeOptions& options) {
  if (rope.has("beta_fast")) options.beta_fast = rope.positive("beta_fast");
  if (rope.has("beta_slow")) options.beta_slow = rope.positive("beta_slow");
  if (rope.has("attention_factor")) options.attention_factor = rope.positive("attention_factor");
  if (options.beta_fast < options.beta_slow) {
    rope.fail("beta_fast", cat("is ", options.beta_fast, ", want at least beta_slow ", options.beta_slow));
  }
}

RopeOptions read_scaling(const KeyReader& rope) {
  const TypeRow& row = row_of(rope);
  check_keys(rope, row);
  RopeOptions options;
  options.type = row.type;
  if (row.type != Type::kDefault) options.factor = factor_of(rope);
  if (row.type == Type::kLlama3) read_llama3(rope, options);
  if (row.type == Type::kYarn) read_yarn(rope, options);
  const bool may_have_original = row.type == Type::kYarn || row.type == Type::kDynamic;
  if (may_have_original && rope.has(kOriginal))
    options.original_max_positions = rope.integer(kOriginal, 1, kMaxPositions);
  return options;
}

// Transformers takes one of two differing values without a word.
template <class T>
void set_once(bool& is_set, T& field, const T& value, const KeyReader& reader, const char* key) {
  if (is_set && !(field == value))
    reader.fail(key, "contradicts another key of the file that says the same thing; keep one");
  field = value;
  is_set = true;
}

}  // namespace

RopeOptions read_rope(const KeyReader& config) {
  check_whole_heads(config);
  RopeOptions options;
  double theta = kDefaultTheta;
  bool has_options = false;
  bool has_theta = false;
  if (config.has("rope_theta")) set_once(has_theta, theta, config.positive("rope_theta"), config, "rope_theta");
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (!config.has(key)) continue;
    const KeyReader rope(config.at(key), cat(config.where(), ": ", key));
    set_once(has_options, options, read_scaling(rope), config, key);
    if (rope.has("rope_theta")) set_once(has_theta, theta, rope.positive("rope_theta"), rope, "rope_theta");
  }
  if (config.has(kOriginal) && config.integer(kOriginal, 1, kMaxPositions) != options.original_max_positions) {
    config.fail(kOriginal, "stands beside the rotary parameters; put it into rope_scaling");
  }
  if (theta <= 1.0) config.fail("rope_theta", cat("is ", theta, ", want more than 1"));
  options.theta = theta;
  return options;
}

void write_rope(const RopeOptions& rope, Json& config) {
  config["rope_theta"] = rope.theta;
  config["rope_scaling"] = nullptr;
  if (rope.type == Type::kDefault) return;
  const auto row = std::find_if(type_rows().begin(), type_rows().end(),
                                [&](const TypeRow& candidate) { return candidate.type == rope.type; });
  NOREGRET_CHECK(row != type_rows().end(), "rope type ", static_cast<int>(rope.type));
  Json& scaling = config["rope_scaling"] = Json::object();
  scaling["rope_type"] = row->name;
  scaling["factor"] = rope.factor;
  if (rope.original_max_positions > 0 && rope.type != Type::kLinear) scaling[kOriginal] = rope.original_max_positions;
  if (rope.type == Type::kLlama3) {
    scaling["low_freq_factor"] = rope.low_freq_factor;
    scaling["high_freq_factor"] = rope.high_freq_factor;
  }
  if (rope.type == Type::kYarn) {
    scaling["beta_fast"] = rope.beta_fast;
    scaling["beta_slow"] = rope.beta_slow;
    if (rope.attention_factor > 0) scaling["attention_factor"] = rope.attention_factor;
  }
}

}  // namespace noregret
