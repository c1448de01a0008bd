#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "noregret/reward/abi.h"
#include "noregret/reward/scorer.h"

namespace noregret {

bool is_component_name(std::string_view name);  // 1 to NOREGRET_NAME_CAPACITY of A-Z a-z 0-9 _ . -

// What is wrong with a score or a part, kind kNone where nothing is: for whatever a plugin hands over.
ComponentScore score_flaw(double score, double min_reward, double max_reward);
ComponentScore part_flaw(const std::vector<PartScore>& before, size_t index, std::string_view name, double value);

// The items and results of one call, as the border to a plugin has them. The items must outlive it.
class RawBatch {
 public:
  static constexpr size_t kErrorCapacity = 512;
  static constexpr size_t kNumParts = 16;

  explicit RawBatch(std::span<const ScoreItem> items);

  const noregret_item* items() const { return items_.data(); }
  noregret_result* results() { return results_.data(); }
  size_t size() const { return items_.size(); }

  // What the plugin said of item i, checked: nothing that it wrote is trusted.
  ComponentScore verdict(size_t i, double min_reward, double max_reward) const;

 private:
  // What is wrong, kind kNone where nothing is.
  ComponentScore flaw(const noregret_result& result, double min_reward, double max_reward) const;
  ComponentScore read_parts(size_t i) const;

  std::vector<noregret_item> items_;
  std::vector<noregret_result> results_;
  std::vector<char> errors_;
  std::vector<noregret_part> parts_;
};

}  // namespace noregret
