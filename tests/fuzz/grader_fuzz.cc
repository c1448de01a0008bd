#include "noregret/grade/compare.h"
#include "noregret/grade/extract.h"
#include "noregret/grade/parse.h"
#include "tests/fuzz/fuzz.h"

namespace noregret::fuzz {
namespace {

constexpr const char* kGold[] = {"\\frac{3}{4}", "(-\\infty, 2] \\cup [3, \\infty)", "x^2+3x-1=0",
                                 "\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}"};

bool parses(const std::string& text, const math::Parsed& gold) {
  bool is_ok = false;
  for (const math::Commas commas : {math::Commas::kGroupThousands, math::Commas::kSeparate}) {
    const math::Parsed parsed = math::parse_answer(text, commas);
    if (!parsed.is_ok()) continue;
    is_ok = true;
    (void)math::compare(gold.expr, parsed.expr, {.require_reduced = true, .tolerance_digits = 3}, nullptr);
    (void)math::compare(parsed.expr, parsed.expr, {}, nullptr);
  }
  return is_ok;
}

}  // namespace

bool grader(std::string_view input) {
  if (input.empty()) return false;
  const auto flags = static_cast<unsigned char>(input.front());
  const std::string text(input.substr(1));
  const math::Parsed gold = math::parse_answer(kGold[flags & 3]);
  ExtractOptions options = lenient_extraction();
  options.last_number = (flags & 4) != 0;
  const Extraction answer = extract_answer(text, options, (flags & 8) != 0, (flags & 16) != 0);
  (void)gold_answer(text);
  const bool is_whole_read = parses(text, gold);
  return parses(answer.answer, gold) || is_whole_read;
}

}  // namespace noregret::fuzz
