#include "grade/parser.h"

#include <array>

namespace noregret::math {
namespace {

constexpr int kMaxDepth = 96;  // calls; a level of brackets takes up to three

constexpr auto kRelations = std::to_array<std::string_view>({"=", "<", ">", "<=", ">=", "!="});
constexpr auto kRelationCommands =
    std::to_array<std::string_view>({"le", "ge", "ne", "in", "approx", "sim", "equiv", "to", "subset", "subseteq"});
// They end a factor; every other command begins one.
constexpr auto kInfixCommands = std::to_array<std::string_view>(
    {"cdot", "times",  "div",   "cup",    "cap",    "setminus", "pm",   "mp",      "bmod",       "mod", "pmod",
     "end",  "rfloor", "rceil", "rangle", "choose", "circ",     "over", "implies", "Rightarrow", "mid", "dots"});

template <size_t kSize>
bool contains(const std::array<std::string_view, kSize>& list, std::string_view word) {
  for (const std::string_view one : list) {
    if (one == word) return true;
  }
  return false;
}

}  // namespace

Expr Parser::parse_all() {
  Expr expr = parse(kNone + 1);
  if (peek().kind != Token::Kind::kEnd) fail("something stands behind the answer");
  return expr;
}

bool Parser::accept(std::string_view sign) {
  if (!peek().is_sign(sign)) return false;
  ++pos_;
  return true;
}

void Parser::expect(std::string_view sign) {
  if (!accept(sign)) fail("a bracket is missing");
}

void Parser::want_value(const Expr& expr) {
  if (is_structure(expr) && !expr.is(Kind::kMatrix)) fail("arithmetic with something that is no number");
  if (expr.is(Kind::kUnit) || expr.is(Kind::kPercent)) fail("arithmetic with units");
}

Expr Parser::parse(int min_binding) {
  if (++depth_ > kMaxDepth) throw ParseFailure{true, "nested too deep"};
  Expr left = prefix(min_binding);
  while (true) {
    const int binding = binding_of_next();
    if (binding == kNone || binding < min_binding) break;
    left = infix(std::move(left), binding);
  }
  --depth_;
  return left;
}

bool Parser::is_connective(const Token& token) const {
  const bool is_words = token.kind == Token::Kind::kText || token.kind == Token::Kind::kWord;
  return is_words && (token.text == "and" || token.text == "or");
}

bool Parser::begins_factor(const Token& token) const {
  switch (token.kind) {
    case Token::Kind::kLetter:
      return true;
    case Token::Kind::kWord:
      return token.text == "pi" || (open_function_ == 0 && is_function_name(token.text)) || token.text.size() > 3;
    case Token::Kind::kCommand:
      if (open_function_ > 0 && is_function_name(token.text) && token.text != "sqrt") return false;
      return !contains(kInfixCommands, token.text) && !contains(kRelationCommands, token.text);
    case Token::Kind::kSign:
      if (token.text == "(") return open_function_ == 0;
      return token.text == "{" || (token.text == "|" && open_bars_ == 0);
    default:
      return false;
  }
}

int Parser::binding_of_next() const {
  const Token& token = peek();
  switch (token.kind) {
    case Token::Kind::kEnd:
      return kNone;
    case Token::Kind::kNumber:
      return is_mixed_next() ? kMixedPart : kJuxtaposed;
    case Token::Kind::kText:
      return is_connective(token) ? kSeparator : kUnitMark;
    case Token::Kind::kWord:
      if (is_connective(token)) return kSeparator;
      return is_unit_word(token.text) ? kUnitMark : kJuxtaposed;
    case Token::Kind::kLetter:
      return kJuxtaposed;
    case Token::Kind::kCommand:
      if (contains(kRelationCommands, token.text)) return kRelation;
      if (token.text == "cup" || token.text == "cap" || token.text == "setminus") return kSets;
      if (token.text == "pm" || token.text == "mp") return kAdditive;
      if (token.text == "cdot" || token.text == "times" || token.text == "div") return kMultiplicative;
      if (token.text == "frac" && is_mixed_next()) return kMixedPart;
      return begins_factor(token) ? kJuxtaposed : kNone;
    case Token::Kind::kSign:
      break;
  }
  if (contains(kRelations, token.text)) return kRelation;
  if (token.text == "," || token.text == ";") return kSeparator;
  if (token.text == "+" || token.text == "-") return kAdditive;
  if (token.text == "*" || token.text == "/") return kMultiplicative;
  if (token.text == "^") return kPowerMark;
  if (token.text == "!" || token.text == "%") return kPostfix;
  if (token.text == ":") return kColon;
  return begins_factor(token) ? kJuxtaposed : kNone;
}

Expr Parser::infix(Expr left, int binding) {
  switch (binding) {
    case kSeparator:
      return separated(std::move(left));
    case kRelation:
      return related(std::move(left));
    case kSets:
      return set_operation(std::move(left));
    case kColon: {
      std::vector<Expr> parts;
      parts.push_back(std::move(left));
      while (accept(":")) parts.push_back(parse(kColon + 1));
      return make(Kind::kRatio, "", std::move(parts));
    }
    case kUnitMark:
      return with_unit(std::move(left));
    case kAdditive:
      return added(std::move(left));
    case kMultiplicative:
      return multiplied(std::move(left));
    case kPowerMark:
      return powered(std::move(left));
    case kMixedPart:
      return mixed(std::move(left));
    case kPostfix:
      if (take().text == "%") {
        if (is_structure(left) || has_unknowns(left)) fail("a percentage of something that is no number");
        return make(Kind::kPercent, "", {std::move(left)});
      }
      want_value(left);
      return make(Kind::kFactorial, "", {std::move(left)});
    default:
      return juxtaposed(std::move(left));
  }
}

Expr Parser::prefix(int min_binding) {
  const Token& token = peek();
  switch (token.kind) {
    case Token::Kind::kNumber:
      return number();
    case Token::Kind::kLetter:
      ++pos_;
      return letter(token.text);
    case Token::Kind::kWord:
      return word();
    case Token::Kind::kCommand:
      return command();
    case Token::Kind::kText: {
      std::string text = take().text;
      if (accept("_")) return make(Kind::kBase, text + "_" + raw_group());
      return make(Kind::kText, text);
    }
    case Token::Kind::kEnd:
      fail("the answer ends too early");
    case Token::Kind::kSign:
      break;
  }
  if (accept("+")) return parse(std::max(min_binding, int{kMultiplicative}));
  if (accept("-")) {
    Expr operand = parse(std::max(min_binding, int{kMultiplicative}));
    if (operand.is(Kind::kBase)) return make(Kind::kBase, "-" + operand.text);
    if (!operand.is(Kind::kPercent)) want_value(operand);
    return make(Kind::kNegative, "", {std::move(operand)});
  }
  if (token.text == "(" || token.text == "[") return bracketed();
  if (token.text == "{") return braces();
  if (token.text == "\\{") return set_braces();
  if (token.text == "|") return absolute();
  fail("an operator without what stands left of it");
}

}  // namespace noregret::math
