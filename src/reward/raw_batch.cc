#include "reward/raw_batch.h"

#include <algorithm>
#include <cmath>

#include "noregret/base/output_log.h"
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

ComponentScore no_flaw() { return failed_score(FailureKind::kNone, ""); }

}  // namespace

bool is_component_name(std::string_view name) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '-';
  };
  return !name.empty() && name.size() <= NOREGRET_NAME_CAPACITY && std::all_of(name.begin(), name.end(), is_allowed);
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

ComponentScore score_flaw(double score, double min_reward, double max_reward) {
  if (!std::isfinite(score)) {
    return failed_score(FailureKind::kNotFinite, cat("reward is ", score, ", want a finite number"));
  }
  if (score >= min_reward && score <= max_reward) return no_flaw();
  return failed_score(FailureKind::kOutOfRange,
                      cat("reward is ", score, ", the plugin declares ", min_reward, " to ", max_reward));
}

ComponentScore part_flaw(const std::vector<PartScore>& before, size_t index, std::string_view name, double value) {
  if (!is_component_name(name)) {
    return failed_score(FailureKind::kProtocol, cat("part ", index, " is called ", quoted(name), ", want 1 to ",
                                                    NOREGRET_NAME_CAPACITY, " of A-Z a-z 0-9 _ . -"));
  }
  if (!std::isfinite(value)) {
    return failed_score(FailureKind::kNotFinite, cat("part ", quoted(name), " is ", value, ", want a finite number"));
  }
  for (const PartScore& part : before) {
    if (part.name == name) return failed_score(FailureKind::kProtocol, cat("two parts are called ", quoted(name)));
  }
  return no_flaw();
}

ComponentScore RawBatch::verdict(size_t i, double min_reward, double max_reward) const {
  const noregret_result& result = results_[i];
  const ComponentScore wrong = flaw(result, min_reward, max_reward);
  if (wrong.kind != FailureKind::kNone) return wrong;
  if (result.status == NOREGRET_FAILED) {
    const std::string text = clean_line({errors_.data() + i * kErrorCapacity, result.error_size});
    return failed_score(FailureKind::kFailed, text.empty() ? "failed without saying why" : text);
  }
  ComponentScore score = read_parts(i);
  if (score.kind != FailureKind::kNone) return score;
  score.status = ScoreStatus::kOk;
  score.score = result.reward;
  return score;
}

ComponentScore RawBatch::flaw(const noregret_result& result, double min_reward, double max_reward) const {
  if (result.status == NOREGRET_UNSET) return failed_score(FailureKind::kWrongCount, "left without a verdict");
  if (result.status == NOREGRET_FAILED) {
    if (result.error_size <= kErrorCapacity) return no_flaw();
    return failed_score(FailureKind::kProtocol,
                        cat("error_size is ", result.error_size, ", the buffer has ", kErrorCapacity));
  }
  if (result.status != NOREGRET_OK) {
    return failed_score(FailureKind::kProtocol, cat("unknown status ", result.status, ", want ok (1) or failed (2)"));
  }
  if (result.num_parts > kNumParts) {
    return failed_score(FailureKind::kProtocol, cat("num_parts is ", result.num_parts, ", want at most ", kNumParts));
  }
  return score_flaw(result.reward, min_reward, max_reward);
}

ComponentScore RawBatch::read_parts(size_t i) const {
  ComponentScore score = no_flaw();
  for (size_t j = 0; j < results_[i].num_parts; ++j) {
    const noregret_part& raw = parts_[i * kNumParts + j];
    // A size beyond the array is no name: an empty one is refused.
    const std::string_view name(raw.name, raw.name_size <= sizeof raw.name ? raw.name_size : 0);
    const ComponentScore wrong = part_flaw(score.parts, j, name, raw.value);
    if (wrong.kind != FailureKind::kNone) return wrong;
    score.parts.push_back({std::string(name), raw.value});
  }
  return score;
}

}  // namespace noregret
