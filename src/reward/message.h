#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "noregret/base/json.h"
#include "noregret/reward/scorer.h"

// What the host and a reward outside of its process say to one another: one JSON object a line, or a request's body.
// rewards/python/README.md describes it for those who write the other side.
namespace noregret {

inline constexpr size_t kMaxReplyBytes = size_t{8} << 20;

// What a scorer says of itself.
struct ScorerInfo {
  std::string name;
  double min_reward = 0.0;
  double max_reward = 1.0;
  bool is_deterministic = false;
};

std::string make_nonce();  // 128 random bits in hex

Json hello_message(const std::string& options_json);
Json info_message(const ScorerInfo& info);
Json items_message(std::span<const ScoreItem> items);
Json results_message(std::span<const ScoreItem> items, std::span<const ComponentScore> scores);

// A reply's text; bare NaN and Infinity, which some JSON writers emit, read as null. Throws DataError.
Json parse_reply(std::string_view text);

ScorerInfo read_info(const Json& reply);                 // throws DataError
std::vector<ScoreItem> read_items(const Json& request);  // throws DataError
// One verdict an item, whatever the reply says: nothing in it is trusted.
std::vector<ComponentScore> read_results(const Json& reply, std::span<const ScoreItem> items, double min_reward,
                                         double max_reward);

}  // namespace noregret
