#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "noregret/base/json.h"
#include "noregret/base/json_process.h"
#include "noregret/reward/scorer.h"

// What the host and a reward outside of its process say to one another: one JSON object a line, or a request's body.
// rewards/python/README.md describes it for those who write the other side.
namespace noregret {

// What a scorer says of itself.
struct ScorerInfo {
  std::string name;
  double min_reward = 0.0;
  double max_reward = 1.0;
  bool is_deterministic = false;
};

Json hello_message(const std::string& options_json);
Json info_message(const ScorerInfo& info);
Json items_message(std::span<const ScoreItem> items);
Json results_message(std::span<const ScoreItem> items, std::span<const ComponentScore> scores);

ScorerInfo read_info(const Json& reply);                 // throws DataError
std::vector<ScoreItem> read_items(const Json& request);  // throws DataError
// One verdict an item, whatever the reply says: nothing in it is trusted.
std::vector<ComponentScore> read_results(const Json& reply, std::span<const ScoreItem> items, double min_reward,
                                         double max_reward);

}  // namespace noregret
