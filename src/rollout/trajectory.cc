#include "noregret/rollout/trajectory.h"

#include <algorithm>

namespace noregret {
namespace {

Json to_json(const ComponentScore& component) {
  Json json = Json::object();
  if (component.status == ScoreStatus::kOk) {
    json["score"] = component.score;
  } else {
    json["error"] = component.error;
  }
  for (const PartScore& part : component.parts) json["parts"][part.name] = part.value;
  return json;
}

Json to_json(const Trajectory& trajectory, const std::vector<std::string>& component_names) {
  const bool is_scored = trajectory.score.status == ScoreStatus::kOk;
  Json json = Json::object();
  json["text"] = trajectory.text;
  json["reward"] = is_scored ? Json(trajectory.score.reward) : Json();
  json["status"] = is_scored ? "ok" : "failed";
  if (!is_scored) json["error"] = trajectory.score.error;
  json["breakdown"] = Json::object();
  for (size_t i = 0; i < trajectory.score.breakdown.size() && i < component_names.size(); ++i) {
    json["breakdown"][component_names[i]] = to_json(trajectory.score.breakdown[i]);
  }
  json["advantage"] = trajectory.advantage;
  json["is_valid"] = trajectory.is_valid;
  json["finish_reason"] = finish_reason_name(trajectory.completion.finish_reason);
  json["tokens"] = trajectory.completion.num_sampled();
  if (trajectory.episode) json["episode"] = to_json(*trajectory.episode);
  return json;
}

}  // namespace

Json to_json(const EpisodeEnd& episode) {
  Json json = Json::object();
  json["turns"] = Json::array();
  for (const Message& turn : episode.turns) json["turns"].push_back({{"role", turn.role}, {"content", turn.content}});
  if (episode.failure != FailureKind::kNone) {
    json["error"] = episode.error;
    return json;
  }
  json["stop_reason"] = stop_reason_name(episode.stop_reason);
  json["is_terminated"] = episode.is_terminated;
  json["is_truncated"] = episode.is_truncated;
  json["score"] = episode.score;
  json["parts"] = Json::object();
  for (const auto& [name, value] : episode.parts) json["parts"][name] = value;
  return json;
}

int64_t EpisodeEnd::num_turns() const {
  return std::count_if(turns.begin(), turns.end(), [](const Message& turn) { return turn.role == "assistant"; });
}

Json to_json(const TrajectoryGroup& group, const std::vector<std::string>& component_names) {
  Json json = Json::object();
  json["id"] = group.task.id;
  json["prompt"] = group.prompt_text;
  json["reference"] = group.task.reference;
  json["adapter_digest"] = group.adapter_digest;
  json["policy_version"] = group.policy_version;
  json["samples"] = Json::array();
  for (const Trajectory& trajectory : group.trajectories)
    json["samples"].push_back(to_json(trajectory, component_names));
  return json;
}

}  // namespace noregret
