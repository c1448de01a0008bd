// Random bytes, soups of tokens and damaged answers through extraction, parsing and the comparison that runs in
// process. Built with AddressSanitizer and UBSan (make grade-fuzz); prints what it did, and how long the slowest took.
//
//   grade_byte_fuzz [COUNT] [SEED] [FIRST]
#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

#include "noregret/base/rng.h"
#include "noregret/grade/compare.h"
#include "noregret/grade/extract.h"
#include "noregret/grade/parse.h"

namespace {

using noregret::Rng;

constexpr auto kPieces = std::to_array<const char*>({
    "\\frac",
    "\\dfrac12",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "\\left",
    "\\right",
    "\\sqrt",
    "\\sqrt[3]",
    "^",
    "_",
    "^{2}",
    "\\boxed{",
    "\\boxed",
    "\\text{",
    "\\text{and}",
    "\\pi",
    "\\infty",
    "\\cup",
    "\\pm",
    "\\begin{pmatrix}",
    "\\end{pmatrix}",
    "&",
    "\\\\",
    ",",
    ";",
    "=",
    "<",
    "\\le",
    "\\in",
    "|",
    "!",
    "%",
    "\\%",
    "$",
    "\\$",
    "+",
    "-",
    "*",
    "/",
    "\\cdot",
    "\\times",
    "1",
    "23",
    "1,234",
    "0.5",
    "1e9",
    "x",
    "y",
    "e",
    "i",
    "sin",
    "\\sin",
    "\\log_2",
    "cm",
    " ",
    "\n",
    "\\,",
    "\\!",
    "{,}",
    "\\{",
    "\\}",
    "\\binom",
    "\\sum_{k=1}^{n}",
    "\\overline{3}",
    "0.",
    "####",
    "The answer is ",
    "Answer: ",
    "<think>",
    "</think>",
    "**",
    "\\circ",
    "^\\circ",
    "\\mathbb{R}",
    "\xE2\x88\x92",
    "\xC2\xB0",
    "\xE2\x88\x9A",
    "\\quadx",
    "a.m.",
    "or",
    "and",
    "f(",
    "'",
    ":",
    "\\\\frac",
});

constexpr auto kAnswers = std::to_array<const char*>({
    "\\frac{3}{4}",
    "2\\sqrt{3}+\\pi",
    "(-\\infty, 2] \\cup [3, \\infty)",
    "\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}",
    "x^2+3x-1=0",
    "1\\frac{1}{2}",
    "\\text{Monday}",
    "-2,3,\\pm 4",
    "32,\\!760\\text{ cm}^2",
    "1101_2",
    "x=1,y=2;x=3,y=4",
    "\\log_{2}(x+1)^{2}",
    "4:30",
    "2 \\le x < 5",
    "The answer is $\\boxed{12}$.",
    "6*7=42\n#### 42",
});

std::string random_bytes(Rng& rng) {
  std::string text(rng.below(200), '\0');
  for (char& c : text) c = static_cast<char>(rng.below(256));
  return text;
}

std::string soup(Rng& rng) {
  std::string text;
  for (uint64_t i = rng.below(40); i > 0; --i) text += kPieces[rng.below(kPieces.size())];
  return text;
}

std::string damaged(Rng& rng) {
  std::string text = kAnswers[rng.below(kAnswers.size())];
  for (uint64_t i = 1 + rng.below(4); i > 0 && !text.empty(); --i) {
    const size_t at = rng.below(text.size());
    switch (rng.below(4)) {
      case 0:
        text.erase(at, 1 + rng.below(3));
        break;
      case 1:
        text.insert(at, kPieces[rng.below(kPieces.size())]);
        break;
      case 2:
        text[at] = static_cast<char>(rng.below(256));
        break;
      default:
        text += text.substr(at);
        break;
    }
  }
  return text;
}

// A repetition that is long, so that what grows faster than its text shows.
std::string long_text(Rng& rng) {
  const std::string piece = soup(rng);
  std::string text;
  while (!piece.empty() && text.size() < 20000) text += piece;
  return text;
}

int grade(const std::string& text, const noregret::math::Parsed& gold, Rng& rng) {
  using namespace noregret;
  int found = 0;
  ExtractOptions options = lenient_extraction();
  options.last_number = rng.below(2) == 0;
  const Extraction answer = extract_answer(text, options, rng.below(4) == 0, rng.below(2) == 0);
  found += answer.is_found ? 1 : 0;
  (void)gold_answer(text);
  for (const std::string& one : {text, answer.answer}) {
    for (const math::Commas commas : {math::Commas::kGroupThousands, math::Commas::kSeparate}) {
      const math::Parsed parsed = math::parse_answer(one, commas);
      if (!parsed.is_ok()) continue;
      found += 2;
      (void)math::compare(gold.expr, parsed.expr, {.require_reduced = true, .tolerance_digits = 3}, nullptr);
      (void)math::compare(parsed.expr, parsed.expr, {}, nullptr);
    }
  }
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  const long count = argc > 1 ? std::atol(argv[1]) : 1000000;
  const uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  const long first = argc > 3 ? std::atol(argv[3]) : 0;
  long num_parsed = 0;
  double slowest = 0.0;
  for (long i = first; i < first + count; ++i) {
    Rng rng = Rng::stream(seed, noregret::Purpose::kEval, {static_cast<uint64_t>(i)});
    const uint64_t kind = rng.below(300);
    const std::string text = kind < 100   ? random_bytes(rng)
                             : kind < 200 ? soup(rng)
                             : kind < 299 ? damaged(rng)
                                          : long_text(rng);
    const noregret::math::Parsed gold = noregret::math::parse_answer(kAnswers[rng.below(14)]);
    const std::clock_t begin = std::clock();  // of this process: a machine under load is no matter
    num_parsed += grade(text, gold, rng) > 1 ? 1 : 0;
    const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    if (seconds <= slowest) continue;
    slowest = seconds;
    if (seconds > 0.05) std::printf("string %ld of %zu bytes took %.3f s\n", i, text.size(), seconds);
  }
  std::printf("%ld strings, seed %llu: %ld parsed, the slowest took %.6f s\n", count,
              static_cast<unsigned long long>(seed), num_parsed, slowest);
  return 0;
}
