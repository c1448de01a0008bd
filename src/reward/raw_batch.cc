#include "reward/raw_batch.h"

#include <algorithm>
#include <cmath>

#include "noregret/base/text.h"

namespace noregret {
namespace {

noregret_item raw_item(const ScoreItem& item) {
  noregret_item raw{};
  raw.size = sizeof raw;
  raw.id = item.id.data();
  raw.id_size = item.id.size();
  raw.prompt = item.prompt.data();
  raw.prompt_size = item.prompt.size();
  raw.completion = item.completion.data();
  raw.completion_size = item.completion.size();
  raw.reference = item.reference.data();
  raw.reference_size = item.reference.size();
  raw.metadata_json = item.metadata_json.data();
  raw.metadata_json_size = item.metadata_json.size();
  raw.finish_reason = item.finish_reason.data();
  raw.finish_reason_size = item.finish_reason.size();
  return raw;
}

ComponentScore failed(const std::string& why) {
  ComponentScore score;
  score.error = why;
  return score;
}

// Bytes of a multi-byte character at the end; all of it may be there, or its beginning.
size_t cut_character_size(std::string_view text) {
  for (size_t size = 1; size <= std::min<size_t>(4, text.size()); ++size) {
    const auto byte = static_cast<unsigned char>(text[text.size() - size]);
    if (byte >= 0xC0) return size;
    if (byte < 0x80) return 0;
  }
  return 0;
}

}  // namespace

bool is_component_name(std::string_view name) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '-';
  };
  return !name.empty() && name.size() <= NOREGRET_NAME_CAPACITY && std::all_of(name.begin(), name.end(), is_allowed);
}

std::string plugin_text(std::string_view text) {
  const std::string_view whole = text.substr(0, text.size() - cut_character_size(text));
  if (!is_valid_utf8(text) && is_valid_utf8(whole)) text = whole;
  const bool is_utf8 = is_valid_utf8(text);
  std::string line(text);
  for (char& c : line) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) c = ' ';
    if (byte >= 0x80 && !is_utf8) c = '?';
  }
  return line;
}

RawBatch::RawBatch(std::span<const ScoreItem> items)
    : results_(items.size()), errors_(items.size() * kErrorCapacity), parts_(items.size() * kNumParts) {
  for (const ScoreItem& item : items) items_.push_back(raw_item(item));
  for (noregret_part& part : parts_) part.size = sizeof part;
  for (size_t i = 0; i < results_.size(); ++i) {
    noregret_result& result = results_[i];
    result.size = sizeof result;
    result.status = NOREGRET_UNSET;
    result.error = errors_.data() + i * kErrorCapacity;
    result.error_capacity = kErrorCapacity;
    result.parts = parts_.data() + i * kNumParts;
    result.parts_capacity = kNumParts;
  }
}

ComponentScore RawBatch::verdict(size_t i, double min_reward, double max_reward) const {
  const noregret_result& result = results_[i];
  const std::string why = why_invalid(result, min_reward, max_reward);
  if (!why.empty()) return failed(why);
  if (result.status == NOREGRET_FAILED) {
    const std::string text = plugin_text({errors_.data() + i * kErrorCapacity, result.error_size});
    return failed(text.empty() ? "failed without saying why" : text);
  }
  ComponentScore score;
  const std::string wrong_part = read_parts(i, score.parts);
  if (!wrong_part.empty()) return failed(wrong_part);
  score.status = ScoreStatus::kOk;
  score.score = result.reward;
  return score;
}

std::string RawBatch::why_invalid(const noregret_result& result, double min_reward, double max_reward) const {
  if (result.status == NOREGRET_UNSET) return "left without a verdict";
  if (result.status == NOREGRET_FAILED) {
    if (result.error_size <= kErrorCapacity) return "";
    return cat("error_size is ", result.error_size, ", the buffer has ", kErrorCapacity);
  }
  if (result.status != NOREGRET_OK) return cat("unknown status ", result.status, ", want ok (1) or failed (2)");
  if (!std::isfinite(result.reward)) return cat("reward is ", result.reward, ", want a finite number");
  if (result.reward < min_reward || result.reward > max_reward) {
    return cat("reward is ", result.reward, ", the plugin declares ", min_reward, " to ", max_reward);
  }
  if (result.num_parts > kNumParts) return cat("num_parts is ", result.num_parts, ", want at most ", kNumParts);
  return "";
}

std::string RawBatch::read_parts(size_t i, std::vector<PartScore>& parts) const {
  for (size_t j = 0; j < results_[i].num_parts; ++j) {
    const noregret_part& raw = parts_[i * kNumParts + j];
    const std::string_view name(raw.name, std::min<size_t>(raw.name_size, sizeof raw.name));
    if (raw.name_size > sizeof raw.name || !is_component_name(name)) {
      return cat("part ", j, " is called ", quoted(name), ", want 1 to ", sizeof raw.name, " of A-Z a-z 0-9 _ . -");
    }
    if (!std::isfinite(raw.value)) return cat("part ", quoted(name), " is ", raw.value, ", want a finite number");
    for (const PartScore& part : parts) {
      if (part.name == name) return cat("two parts are called ", quoted(name));
    }
    parts.push_back({std::string(name), raw.value});
  }
  return "";
}

}  // namespace noregret
