#include "reward/message.h"

#include <cmath>

#include "noregret/base/check.h"
#include "noregret/base/error.h"
#include "noregret/base/output_log.h"
#include "noregret/base/text.h"
#include "reward/raw_batch.h"

namespace noregret {
namespace {

constexpr int kVersion = 1;
constexpr std::string_view kReply = "the reply";

// Our own writer made it, so it parses; what anybody else made goes as a text.
Json metadata_of(const ScoreItem& item) {
  try {
    return parse_json(item.metadata_json, "metadata");
  } catch (const DataError&) {
    return item.metadata_json;
  }
}

std::string text_of(const Json& object, const char* key) {
  return object.contains(key) ? json_string(object, key, "the request") : "";
}

ComponentScore read_failure(const Json& result) {
  const std::string kind = result.contains("kind") && result["kind"].is_string() ? result["kind"] : Json("failed");
  const std::string text =
      result["error"].is_string() ? result["error"].get<std::string>() : std::string("failed without saying why");
  const std::optional<FailureKind> known = parse_failure(kind);
  const bool is_its_own = known && *known != FailureKind::kNone;
  return failed_score(is_its_own ? *known : FailureKind::kFailed,
                      clean_line(std::string_view(text).substr(0, RawBatch::kErrorCapacity)));
}

// Parts of a good result, or what is wrong with them.
ComponentScore read_parts(const Json& result) {
  ComponentScore score = failed_score(FailureKind::kNone, "");
  if (!result.contains("parts")) return score;
  const Json& parts = result["parts"];
  if (!parts.is_object() || parts.size() > RawBatch::kNumParts) {
    return failed_score(FailureKind::kProtocol,
                        cat("parts want to be an object of at most ", RawBatch::kNumParts, " names and numbers"));
  }
  for (const auto& [name, value] : parts.items()) {
    if (!value.is_number() && !value.is_null()) {
      return failed_score(FailureKind::kProtocol, cat("part ", quoted(name), " is no number"));
    }
    const double number = value.is_null() ? std::nan("") : value.get<double>();
    const ComponentScore wrong = part_flaw(score.parts, score.parts.size(), name, number);
    if (wrong.kind != FailureKind::kNone) return wrong;
    score.parts.push_back({name, number});
  }
  return score;
}

ComponentScore read_result(const Json& result, const ScoreItem& item, double min_reward, double max_reward) {
  if (!result.is_object()) return failed_score(FailureKind::kProtocol, "a result is no object");
  const bool has_id = result.contains("id") && result["id"].is_string();
  if (!has_id || result["id"].get_ref<const std::string&>() != item.id) {
    return failed_score(FailureKind::kWrongId, cat("a result has the id ", has_id ? dump_json(result["id"]) : "(none)",
                                                   ", want ", quoted(item.id), ": one an item, in their order"));
  }
  if (result.contains("error") && !result["error"].is_null()) return read_failure(result);
  if (!result.contains("reward")) return failed_score(FailureKind::kProtocol, "a result has neither reward nor error");
  const Json& reward = result["reward"];
  if (!reward.is_number() && !reward.is_null()) {
    return failed_score(FailureKind::kProtocol, cat("reward is a ", reward.type_name(), ", want a number"));
  }
  const double value = reward.is_null() ? std::nan("") : reward.get<double>();
  const ComponentScore wrong = score_flaw(value, min_reward, max_reward);
  if (wrong.kind != FailureKind::kNone) return wrong;
  ComponentScore score = read_parts(result);
  if (score.kind != FailureKind::kNone) return score;
  score.status = ScoreStatus::kOk;
  score.score = value;
  return score;
}

}  // namespace

Json hello_message(const std::string& options_json) {
  return Json{{"noregret", kVersion}, {"options", parse_json(options_json, "options")}};
}

Json info_message(const ScorerInfo& info) {
  return Json{{"name", info.name},
              {"min_reward", info.min_reward},
              {"max_reward", info.max_reward},
              {"deterministic", info.is_deterministic}};
}

Json items_message(std::span<const ScoreItem> items) {
  Json list = Json::array();
  for (const ScoreItem& item : items) {
    list.push_back(Json{{"id", item.id},
                        {"prompt", item.prompt},
                        {"completion", item.completion},
                        {"reference", item.reference},
                        {"metadata", metadata_of(item)},
                        {"finish_reason", item.finish_reason}});
  }
  return Json{{"items", std::move(list)}};
}

Json results_message(std::span<const ScoreItem> items, std::span<const ComponentScore> scores) {
  Json list = Json::array();
  for (size_t i = 0; i < items.size(); ++i) {
    Json result{{"id", items[i].id}};
    if (scores[i].status == ScoreStatus::kOk) {
      result["reward"] = scores[i].score;
      Json parts = Json::object();
      for (const PartScore& part : scores[i].parts) parts[part.name] = part.value;
      result["parts"] = std::move(parts);
    } else {
      result["error"] = scores[i].error;
      result["kind"] = failure_name(scores[i].kind);
    }
    list.push_back(std::move(result));
  }
  return Json{{"results", std::move(list)}};
}

ScorerInfo read_info(const Json& reply) {
  ScorerInfo info;
  info.name = json_string(reply, "name", kReply);
  info.min_reward = json_number(reply, "min_reward", kReply);
  info.max_reward = json_number(reply, "max_reward", kReply);
  info.is_deterministic = reply.contains("deterministic") && json_bool(reply, "deterministic", kReply);
  if (!is_component_name(info.name)) {
    throw DataError(
        cat("its name is ", quoted(info.name), ", want 1 to ", NOREGRET_NAME_CAPACITY, " of A-Z a-z 0-9 _ . -"));
  }
  if (!std::isfinite(info.min_reward) || !std::isfinite(info.max_reward) || info.min_reward > info.max_reward) {
    throw DataError(
        cat("its rewards go from ", info.min_reward, " to ", info.max_reward, ", want finite and min <= max"));
  }
  return info;
}

std::vector<ScoreItem> read_items(const Json& request) {
  std::vector<ScoreItem> items;
  for (const Json& raw : json_at(request, "items", "the request")) {
    const Json metadata = raw.contains("metadata") ? raw["metadata"] : Json::object();
    items.push_back(ScoreItem{
        text_of(raw, "id"), text_of(raw, "prompt"), text_of(raw, "completion"), text_of(raw, "reference"),
        metadata.is_string() ? metadata.get<std::string>() : dump_json(metadata), text_of(raw, "finish_reason")});
  }
  return items;
}

std::vector<ComponentScore> read_results(const Json& reply, std::span<const ScoreItem> items, double min_reward,
                                         double max_reward) {
  const auto all = [&](FailureKind kind, const std::string& why) {
    return std::vector<ComponentScore>(items.size(), failed_score(kind, why));
  };
  if (!reply.is_object() || !reply.contains("results") || !reply["results"].is_array()) {
    return all(FailureKind::kProtocol, "the reply has no list `results`");
  }
  const Json& results = reply["results"];
  if (results.size() != items.size()) {
    return all(FailureKind::kWrongCount, cat(results.size(), " results for ", items.size(), " items"));
  }
  std::vector<ComponentScore> scores;
  for (size_t i = 0; i < items.size(); ++i) {
    scores.push_back(read_result(results[i], items[i], min_reward, max_reward));
  }
  return scores;
}

}  // namespace noregret
