#pragma once

#include <memory>
#include <string>
#include <vector>

#include "noregret/base/json.h"
#include "text/unicode.h"

namespace noregret::text {

// A text cut into words; what no span covers is left out.
struct Words {
  std::string text;
  std::vector<Span> spans;  // in order, none empty
};

// "pre_tokenizer" of tokenizer.json: Split, Digits, ByteLevel, one after another.
class PreTokenizer {
 public:
  class Step {
   public:
    virtual ~Step() = default;
    virtual void apply(Words& words) const = 0;
  };

  static PreTokenizer parse(const Json& document, const std::string& where);
  Words split(std::string text) const;

 private:
  std::vector<std::unique_ptr<Step>> steps_;
};

}  // namespace noregret::text
