#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "noregret/base/fields.h"

namespace noregret {

// Where in a completion an answer may stand. The defaults are those of training: a box, or nothing.
struct ExtractOptions {
  using HasFieldsTag = void;
  bool hash_mark = false;
  bool answer_line = false;
  bool closing_math = false;
  bool bare_answer = false;
  bool last_number = false;
  std::string reasoning_begin = "<think>";
  std::string reasoning_end = "</think>";

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("hash_mark", hash_mark, "without a box, the number after the last \"####\"");
    v("answer_line", answer_line, "then what follows the last \"Answer:\" or \"the answer is\"");
    v("closing_math", closing_math,
      "then the one formula of the last line, or what its last \"is\" says, if that is worked out");
    v("bare_answer", bare_answer, "then the whole completion, if it is nothing but an answer");
    v("last_number", last_number, "then the last number of the text");
    v("reasoning_begin", reasoning_begin, "opens what is not searched; opened and never closed: no answer");
    v("reasoning_end", reasoning_end, "only what follows the last one is searched; empty = all is");
  }
};

// All of the above but last_number: for the outputs of models that were not asked for a box.
ExtractOptions lenient_extraction();

struct Extraction {
  bool is_found = false;
  std::string answer;
  std::string source;  // box, hash, line, math, bare, number
};

// The answer of a completion. `is_truncated`: the text may be cut anywhere, so that an answer which reaches its end is
// none. `gold_is_list`: boxes that stand side by side at the end ("\boxed{1} and \boxed{2}") are one list; else the
// last complete one counts. Linear in the text.
Extraction extract_answer(std::string_view completion, const ExtractOptions& options, bool is_truncated,
                          bool gold_is_list);

// What stands in the last box of the text; all of it where there is none.
std::string bare_answer(std::string_view text);

// What stands in each complete box of the text, at most the last 64 of them, in order.
std::vector<std::string> boxed_answers(std::string_view text);

// The answer that a gold text holds: of a solution with a box or a "####", what stands there; else all of it.
std::string gold_answer(std::string_view gold);

}  // namespace noregret
