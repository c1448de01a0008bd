#pragma once

#include <string>
#include <vector>

#include "noregret/reward/rubric.h"

namespace noregret {

// An item of `reward test`, where it stands, and, if the line has one, a completion that is right.
struct TestItem {
  ScoreItem item;
  std::string where;  // "FILE:LINE"
  std::string gold;
};

// Whether right answers get full marks and wrong ones do not.
struct GoldCheck {
  int64_t num_gold = 0;    // items with a reference or a gold completion
  int64_t num_full = 0;    // of those, that get full marks; their wrong twins are judged
  int64_t num_fooled = 0;  // wrong twins with full marks
  bool ignores_reference = false;
  std::vector<std::string> problems;  // a line each
  bool is_good() const { return problems.empty(); }
};

// An item's reference is written in the forms that tasks ask for ("#### 8", "\boxed{8}", ...): one must get full marks.
// Then the same with another answer, as wrong_answer() makes it, must not. A `gold` completion counts alone; its wrong
// twin is the empty one.
GoldCheck check_gold(const Rubric& rubric, const std::vector<TestItem>& items);

// Close to the answer, and not it: the last digit, else the last letter, is another.
std::string wrong_answer(const std::string& answer);

std::string gold_text(const GoldCheck& check);  // for a person, some lines

}  // namespace noregret
