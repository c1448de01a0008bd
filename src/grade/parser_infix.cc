#include "grade/parser.h"
#include "grade/scan.h"

namespace noregret::math {
namespace {

bool is_integer(const Expr& expr) {
  return expr.is(Kind::kNumber) && expr.text.find_first_not_of("0123456789") == std::string::npos;
}

bool is_less(std::string_view a, std::string_view b) { return a.size() != b.size() ? a.size() < b.size() : a < b; }

// Words that may stand behind a number and leave it what it is.
bool is_unit_text(std::string_view text) {
  for (size_t pos = 0; pos < text.size();) {
    if (!scan::is_letter(text[pos])) {
      const bool is_exponent = pos > 0 && (text[pos - 1] == '^' || scan::is_letter(text[pos - 1]));
      const std::string_view allowed = is_exponent ? " .-/'^23()" : " .-/'^()";
      if (allowed.find(text[pos]) == std::string_view::npos) return false;
      ++pos;
      continue;
    }
    size_t end = pos;
    while (end < text.size() && scan::is_letter(text[end])) ++end;
    const std::string_view word = text.substr(pos, end - pos);
    if (word.size() > 1 && !scan::is_unit(word)) return false;
    pos = end;
  }
  return true;
}

bool is_percent_word(std::string_view word) { return word == "percent" || word == "pct" || word == "percentage"; }

}  // namespace

Expr Parser::separated(Expr first) {
  std::vector<Expr> items;
  items.push_back(std::move(first));
  std::string separator = ",";
  std::vector<size_t> groups;  // where an item begins behind a ";"
  while (true) {
    bool has_separator = false;
    while (peek().is_sign(",") || peek().is_sign(";") || is_connective(peek())) {
      if (peek().text == "or") separator = "or";
      if (peek().text == ";") groups.push_back(items.size());
      ++pos_;
      has_separator = true;
    }
    if (!has_separator) break;
    items.push_back(parse(kSeparator + 1));
  }
  if (groups.empty() || items.size() == groups.size() + 1) return make(Kind::kList, separator, std::move(items));
  // "x = 1, y = 2; x = 3, y = 4" lists pairs
  std::vector<Expr> tuples;
  groups.push_back(items.size());
  for (size_t begin = 0; const size_t end : groups) {
    std::vector<Expr> group(items.begin() + static_cast<long>(begin), items.begin() + static_cast<long>(end));
    if (group.size() < 2) fail("pairs and single values in one list");
    tuples.push_back(make(Kind::kTuple, "()", std::move(group)));
    begin = end;
  }
  return make(Kind::kList, separator, std::move(tuples));
}

Expr Parser::related(Expr first) {
  std::vector<Expr> sides;
  std::string operators;
  sides.push_back(std::move(first));
  while (binding_of_next() == kRelation) {
    std::string sign = take().text;
    if (sign == "le") sign = "<=";
    if (sign == "ge") sign = ">=";
    if (sign == "ne") sign = "!=";
    if (sign == "approx" || sign == "sim") sign = "~";
    operators += (operators.empty() ? "" : ",") + sign;
    sides.push_back(parse(kRelation + 1));
  }
  return make(Kind::kRelation, operators, std::move(sides));
}

Expr Parser::set_operation(Expr left) {
  const std::string name = take().text;
  const bool is_braced = peek().is_sign("{");
  Expr right = parse(kSets + 1);
  if (is_braced && !is_structure(right)) right = make(Kind::kSet, "", {std::move(right)});  // {1,2} minus {2}
  const Kind kind = name == "cup" ? Kind::kUnion : name == "cap" ? Kind::kIntersection : Kind::kSetMinus;
  if (left.is(kind) && kind != Kind::kSetMinus) {
    left.args.push_back(std::move(right));
    return left;
  }
  std::vector<Expr> args;
  args.push_back(std::move(left));
  args.push_back(std::move(right));
  return make(kind, "", std::move(args));
}

Expr Parser::added(Expr left) {
  const std::string sign = take().text;
  Expr right = parse(kAdditive + 1);
  if (left.is(Kind::kMatrix) != right.is(Kind::kMatrix)) fail("a matrix and a number are added");
  want_value(left);
  want_value(right);
  std::vector<Expr> args;
  if (sign == "pm" || sign == "mp") {
    args.push_back(std::move(left));
    args.push_back(std::move(right));
    return make(Kind::kPlusMinus, sign == "pm" ? "+-" : "-+", std::move(args));
  }
  if (sign == "-") right = make(Kind::kNegative, "", {std::move(right)});
  if (left.is(Kind::kSum)) {
    left.args.push_back(std::move(right));
    return left;
  }
  args.push_back(std::move(left));
  args.push_back(std::move(right));
  return make(Kind::kSum, "", std::move(args));
}

Expr Parser::multiplied(Expr left) {
  const std::string sign = take().text;
  Expr right = parse(kMultiplicative + 1);
  want_value(left);
  want_value(right);
  std::vector<Expr> args;
  if (sign == "/" || sign == "div") {
    if (right.is(Kind::kMatrix)) fail("division by a matrix");
    args.push_back(std::move(left));
    args.push_back(std::move(right));
    return make(Kind::kQuotient, "", std::move(args));
  }
  if (left.is(Kind::kProduct)) {
    left.args.push_back(std::move(right));
    return left;
  }
  args.push_back(std::move(left));
  args.push_back(std::move(right));
  return make(Kind::kProduct, "", std::move(args));
}

Expr Parser::juxtaposed(Expr left) {
  if (peek().kind == Token::Kind::kNumber) fail("a number stands behind a value");
  Expr right = parse(kJuxtaposed + 1);
  want_value(left);
  want_value(right);
  if (left.is(Kind::kProduct)) {
    left.args.push_back(std::move(right));
    return left;
  }
  std::vector<Expr> args;
  args.push_back(std::move(left));
  args.push_back(std::move(right));
  return make(Kind::kProduct, "", std::move(args));
}

Expr Parser::powered(Expr base) {
  expect("^");
  const bool is_degrees =
      peek().is_command("circ") || (peek().is_sign("{") && peek(1).is_command("circ") && peek(2).is_sign("}"));
  if (is_degrees) {
    pos_ += peek().is_command("circ") ? 1 : 3;
    want_value(base);
    return make(Kind::kDegrees, "", {std::move(base)});
  }
  want_value(base);
  if (base.is(Kind::kMatrix)) fail("a power of a matrix");
  const bool is_subscript_next = peek().kind == Token::Kind::kNumber && peek(1).is_sign("_");
  Expr exponent = is_subscript_next ? make(Kind::kNumber, take().text) : parse(kPowerMark);
  want_value(exponent);
  if (base.is(Kind::kSymbol) && accept("_")) base.text += "_" + raw_group();  // x^2_1
  std::vector<Expr> args;
  args.push_back(std::move(base));
  args.push_back(std::move(exponent));
  return make(Kind::kPower, "", std::move(args));
}

Expr Parser::with_unit(Expr value) {
  std::string unit;
  bool is_percent = false;
  while (true) {
    const Token& token = peek();
    const bool is_words = token.kind == Token::Kind::kText || token.kind == Token::Kind::kWord;
    if (is_words && !is_connective(token)) {
      if (token.kind == Token::Kind::kText ? !is_unit_text(token.text) : !is_unit_word(token.text)) {
        fail("words that may change the value stand behind it");
      }
      is_percent = is_percent || is_percent_word(token.text);
      unit += (unit.empty() ? "" : " ") + token.text;
      ++pos_;
    } else if (!unit.empty() && token.is_sign("^")) {
      ++pos_;
      unit += "^" + raw_group();
    } else if (!unit.empty() && (token.is_sign("/") || token.is_sign("."))) {
      unit += token.text;
      ++pos_;
    } else {
      break;
    }
  }
  if (value.is(Kind::kUnit)) fail("two units");
  if (!value.is(Kind::kPercent) && !value.is(Kind::kRatio)) want_value(value);
  if (has_unknowns(value)) fail("words stand behind an expression");
  if (is_percent && !value.is(Kind::kPercent)) return make(Kind::kPercent, "", {std::move(value)});
  return make(Kind::kUnit, unit, {std::move(value)});
}

bool Parser::is_mixed_next() const {
  if (pos_ == 0 || open_function_ > 0) return false;
  const Token& whole = tokens_[pos_ - 1];
  const bool is_whole =
      whole.kind == Token::Kind::kNumber && !whole.is_exponent && whole.text.find('.') == std::string::npos;
  if (!is_whole) return false;
  if (peek().is_command("frac")) return true;
  return peek().kind == Token::Kind::kNumber && peek(1).is_sign("/") && peek(2).kind == Token::Kind::kNumber;
}

// 4 10/3 is no mixed number, and nothing else either.
Expr Parser::mixed(Expr whole) {
  Expr part;
  if (peek().is_command("frac")) {
    ++pos_;
    part = fraction();
    if (!is_integer(part.args[0]) || !is_integer(part.args[1])) {
      std::vector<Expr> factors;
      factors.push_back(std::move(whole));
      factors.push_back(std::move(part));
      return make(Kind::kProduct, "", std::move(factors));
    }
  } else {
    std::vector<Expr> args;
    args.push_back(make(Kind::kNumber, take().text));
    expect("/");
    args.push_back(make(Kind::kNumber, take().text));
    part = make(Kind::kQuotient, "", std::move(args));
  }
  const bool is_proper = is_integer(whole) && is_integer(part.args[0]) && is_integer(part.args[1]) &&
                         is_less(part.args[0].text, part.args[1].text);
  if (!is_proper) fail("a whole number before an improper fraction");
  std::vector<Expr> args;
  args.push_back(std::move(whole));
  args.push_back(std::move(part));
  return make(Kind::kMixed, "", std::move(args));
}

}  // namespace noregret::math
