#pragma once

#include <string>
#include <vector>

namespace noregret {

// Why the rewards for this kind of answer cannot read the gold; "" where they can. Kinds: "number" (gsm8k_answer),
// "math" (math_answer), "text" (anything but blanks) and "none" (anything).
std::string why_bad_gold(const std::string& answer_kind, const std::string& gold);

// Golds that cannot be read.
class BadGolds {
 public:
  void add(const std::string& where, const std::string& gold, const std::string& why);
  int64_t size() const { return num_bad_; }
  // "train.jsonl:2: the gold 'about 5' is no number; 3 of 10 golds are unreadable: train.jsonl:2 'about 5', ..."
  std::string text(int64_t num_golds) const;

 private:
  int64_t num_bad_ = 0;
  std::string first_;                // what is wrong with it
  std::vector<std::string> listed_;  // the first few
};

}  // namespace noregret
