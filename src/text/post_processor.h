#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "noregret/base/json.h"

namespace noregret::text {

// "post_processor" of tokenizer.json: the control tokens around a single text.
struct PostProcessor {
  std::vector<int64_t> before;
  std::vector<int64_t> after;

  static PostProcessor parse(const Json& document, const std::string& where);
};

}  // namespace noregret::text
