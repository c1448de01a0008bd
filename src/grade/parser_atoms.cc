#include <utility>

#include "grade/parser.h"
#include "grade/scan.h"

namespace noregret::math {
namespace {

constexpr std::string_view kCallNames = "fghFGHPQW";

bool is_all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// The digits are digits of that base.
bool fits_base(std::string_view digits, std::string_view base) {
  if (base.size() > 2) return false;
  const int value = std::stoi(std::string(base));
  if (value < 2 || value > 36) return false;
  for (const char c : digits) {
    if (c == '.') continue;
    const int digit = scan::is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10;
    if (digit >= value) return false;
  }
  return true;
}

}  // namespace

Expr Parser::number() {
  const Token token = take();
  Expr value = make(Kind::kNumber, token.text);
  if (token.is_exponent) {
    const bool is_negative = token.exponent.starts_with('-');
    Expr exponent = make(Kind::kNumber, is_negative ? token.exponent.substr(1) : token.exponent);
    if (is_negative) exponent = make(Kind::kNegative, "", {exponent});
    return make(Kind::kProduct, "", {value, make(Kind::kPower, "", {make(Kind::kNumber, "10"), exponent})});
  }
  if (!accept("_")) return value;
  const std::string base = raw_group();
  if (!is_all_digits(base) || !fits_base(token.text, base)) fail("no number of that base");
  return make(Kind::kBase, token.text + "_" + base);
}

Expr Parser::word() {
  const std::string text = take().text;
  if (text == "pi") return make(Kind::kConstant, "pi");
  if (text == "inf" || text == "infty" || text == "infinity") return make(Kind::kConstant, "infinity");
  if (text == "bar") return named("bar." + raw_group());
  if (is_function_name(text)) return function(text);
  if (text == "alpha" || text == "beta" || text == "theta" || text == "lambda" || text == "phi") return named(text);
  fail("a word that is not known");
}

Expr Parser::letter(std::string name) {
  const bool is_plain = !peek().is_sign("_") && !peek().is_sign("'");
  if (name == "e" && is_plain) return make(Kind::kConstant, "e");
  if (name == "i" && is_plain) return make(Kind::kConstant, "i");
  return named(std::move(name));
}

Expr Parser::named(std::string name) {
  std::string subscript;
  while (peek().is_sign("_") || peek().is_sign("'")) {
    if (accept("'")) {
      name += "'";
    } else {
      expect("_");
      subscript = "_" + raw_group();
    }
  }
  const bool may_call = kCallNames.find(name[0]) != std::string_view::npos && (name.size() == 1 || name[1] == '\'');
  const bool is_argument_simple = peek(2).is_sign(")") && name.size() == 1 && scan::is_letter(name[0]) &&
                                  name[0] < 'a' && peek(1).kind == Token::Kind::kLetter;
  name += subscript;
  if (!peek().is_sign("(") || open_function_ > 0 || !(may_call || is_argument_simple)) {
    return make(Kind::kSymbol, name);
  }
  Expr inside = bracketed();
  if (inside.is(Kind::kTuple)) return make(Kind::kCall, name, std::move(inside.args));
  return make(Kind::kCall, name, {std::move(inside)});
}

Expr Parser::command() {
  const std::string name = take().text;
  if (name == "frac") return fraction();
  if (name == "sqrt") return root();
  if (name == "pi") return make(Kind::kConstant, "pi");
  if (name == "infty") return make(Kind::kConstant, "infinity");
  if (name == "emptyset") return make(Kind::kSet, "");
  if (name == "begin") return matrix();
  if (name == "binom") {
    Expr above = tex_argument();
    Expr below = tex_argument();
    want_value(above);
    want_value(below);
    return make(Kind::kFunction, "binom", {above, below});
  }
  if (name == "boxed" || name == "fbox") return tex_argument();
  if (name == "pm" || name == "mp") {
    Expr operand = parse(kMultiplicative);
    want_value(operand);
    return make(Kind::kPlusMinus, name == "pm" ? "+-" : "-+", {operand});
  }
  if (name == "lfloor" || name == "lceil") {
    Expr inside = parse(kRelation + 1);
    if (!peek().is_command(name == "lfloor" ? "rfloor" : "rceil")) fail("a bracket is missing");
    ++pos_;
    want_value(inside);
    return make(Kind::kFunction, name == "lfloor" ? "floor" : "ceil", {inside});
  }
  if (name == "langle") {
    Expr inside = parse(kNone + 1);
    if (!peek().is_command("rangle") || !inside.is(Kind::kList)) fail("a bracket is missing");
    ++pos_;
    return make(Kind::kTuple, "<>", std::move(inside.args));
  }
  if (name == "mathbb" || name == "mathcal") {
    const std::string set = raw_group();
    if (set == "R" && name == "mathbb") {
      const Expr infinity = make(Kind::kConstant, "infinity");
      return make(Kind::kTuple, "()", {make(Kind::kNegative, "", {infinity}), infinity});
    }
    return named(name + "." + set);
  }
  return name_command(name);
}

// Marks over letters, operators with bounds, functions and Greek letters.
Expr Parser::name_command(const std::string& name) {
  for (const std::string_view mark :
       {"overline", "bar", "vec", "hat", "overrightarrow", "tilde", "widehat", "underline"}) {
    if (name != mark) continue;
    const std::string inside = raw_group();
    return named((inside.size() == 1 && name == "overline" ? "bar" : name) + "." + inside);
  }
  if (name == "angle" || name == "triangle") {
    std::string points;
    while (peek().kind == Token::Kind::kLetter) points += take().text;
    return make(Kind::kSymbol, name + "." + points);
  }
  for (const std::string_view big : {"sum", "prod", "int", "lim", "oint", "iint", "bigcup", "bigcap"}) {
    if (name == big) return operator_with_bounds(name);
  }
  if (is_function_name(name)) return function(name);
  for (const std::string_view greek :
       {"alpha",    "beta",    "gamma", "delta",  "epsilon", "varepsilon", "zeta",  "eta",   "theta",
        "vartheta", "iota",    "kappa", "lambda", "mu",      "nu",         "xi",    "rho",   "sigma",
        "tau",      "upsilon", "phi",   "varphi", "chi",     "psi",        "omega", "Gamma", "Delta",
        "Theta",    "Lambda",  "Xi",    "Sigma",  "Phi",     "Psi",        "Omega", "ell"}) {
    if (name == greek) return named(name);
  }
  fail("a command that is not known");
}

Expr Parser::bracketed() {
  const std::string open = take().text;
  const int bars = std::exchange(open_bars_, 0);
  const int functions = std::exchange(open_function_, 0);
  Expr inside = parse(kNone + 1);
  open_bars_ = bars;
  open_function_ = functions;
  if (!peek().is_sign(")") && !peek().is_sign("]")) fail("a bracket is missing");
  const std::string brackets = open + take().text;
  if (inside.is(Kind::kList)) {
    if (inside.text == "or") fail("a choice in brackets");
    if (brackets[0] != '(' || brackets[1] != ')') {
      if (inside.args.size() != 2) fail("an interval has two ends");
    }
    return make(Kind::kTuple, brackets, std::move(inside.args));
  }
  if (brackets != "()" && brackets != "[]") fail("brackets that do not fit");
  return inside;
}

Expr Parser::braces() {
  expect("{");
  const int bars = std::exchange(open_bars_, 0);
  const int functions = std::exchange(open_function_, 0);
  Expr inside = parse(kNone + 1);
  if (peek().is_command("choose")) {
    ++pos_;
    Expr below = parse(kNone + 1);
    want_value(inside);
    want_value(below);
    inside = make(Kind::kFunction, "binom", {inside, below});
  }
  open_bars_ = bars;
  open_function_ = functions;
  expect("}");
  if (inside.is(Kind::kList) && inside.text == ",") return make(Kind::kSet, "", std::move(inside.args));
  return inside;
}

Expr Parser::set_braces() {
  expect("\\{");
  if (accept("\\}")) return make(Kind::kSet, "");
  const int bars = std::exchange(open_bars_, 0);
  Expr inside = parse(kNone + 1);
  open_bars_ = bars;
  expect("\\}");
  if (inside.is(Kind::kList)) return make(Kind::kSet, "", std::move(inside.args));
  return make(Kind::kSet, "", {std::move(inside)});
}

Expr Parser::absolute() {
  expect("|");
  ++open_bars_;
  Expr inside = parse(kAdditive);
  --open_bars_;
  expect("|");
  want_value(inside);
  if (inside.is(Kind::kMatrix)) fail("a determinant");
  return make(Kind::kFunction, "abs", {std::move(inside)});
}

// An argument without braces is one token, and of a number one digit.
Expr Parser::tex_argument() {
  if (peek().is_sign("{")) return braces();
  Token& token = tokens_[std::min(pos_, tokens_.size() - 1)];
  if (token.kind == Token::Kind::kNumber && token.text.size() > 1 && is_all_digits(token.text)) {
    Expr digit = make(Kind::kNumber, token.text.substr(0, 1));
    token.text.erase(0, 1);
    return digit;
  }
  if (token.kind == Token::Kind::kNumber && !token.is_exponent) {
    ++pos_;
    return make(Kind::kNumber, token.text);
  }
  return prefix(kPostfix);
}

Expr Parser::fraction() {
  std::vector<Expr> args;
  args.push_back(tex_argument());
  args.push_back(tex_argument());
  for (const Expr& arg : args) {
    want_value(arg);
    if (arg.is(Kind::kMatrix)) fail("a matrix in a fraction");
  }
  return make(Kind::kQuotient, "", std::move(args));
}

Expr Parser::root() {
  Expr degree = make(Kind::kNumber, "2");
  if (accept("[")) {
    degree = parse(kAdditive);
    expect("]");
  }
  Expr radicand = peek().is_sign("{") ? braces() : prefix(kPostfix);
  want_value(radicand);
  want_value(degree);
  if (radicand.is(Kind::kMatrix)) fail("a root of a matrix");
  return make(Kind::kRoot, "", {std::move(radicand), std::move(degree)});
}

Expr Parser::function(std::string name) {
  if (name == "sqrt") return root();
  Expr base;
  Expr exponent;
  bool has_base = false;
  bool has_exponent = false;
  while ((peek().is_sign("_") && name == "log" && !has_base) || (peek().is_sign("^") && !has_exponent)) {
    const bool is_base = accept("_");
    if (!is_base) expect("^");
    (is_base ? has_base : has_exponent) = true;
    (is_base ? base : exponent) = peek().is_sign("{") ? braces() : tex_argument();
    want_value(is_base ? base : exponent);
  }
  std::vector<Expr> args;
  if (peek().is_sign("(") || peek().is_sign("{")) {
    Expr inside = peek().is_sign("(") ? bracketed() : braces();
    if (inside.is(Kind::kTuple) || inside.is(Kind::kSet)) {
      args = std::move(inside.args);
    } else {
      args.push_back(std::move(inside));
    }
  } else {
    ++open_function_;
    args.push_back(parse(kJuxtaposed));
    --open_function_;
  }
  for (const Expr& arg : args) want_value(arg);
  const bool takes_many = name == "max" || name == "min" || name == "gcd" || name == "lcm";
  if (args.size() != 1 && !takes_many) fail("a function of one argument has several");
  if (has_base) args.push_back(std::move(base));
  const bool is_inverse = has_exponent && exponent.is(Kind::kNegative) && exponent.args[0].is(Kind::kNumber, "1");
  if (is_inverse && !name.starts_with("arc")) {
    name = "arc" + name;
    if (!is_function_name(name)) fail("the inverse of that function");
    has_exponent = false;
  }
  if (name == "arsinh" || name == "arcosh" || name == "artanh") name = "arc" + name.substr(2);
  Expr value = make(Kind::kFunction, name, std::move(args));
  if (!has_exponent) return value;
  return make(Kind::kPower, "", {std::move(value), std::move(exponent)});
}

Expr Parser::operator_with_bounds(std::string name) {
  Expr lower = make(Kind::kText, "none");
  Expr upper = lower;
  while (peek().is_sign("_") || peek().is_sign("^")) {
    const bool is_lower = accept("_");
    if (!is_lower) expect("^");
    (is_lower ? lower : upper) = tex_argument();
  }
  Expr body = parse(kAdditive + 1);
  return make(Kind::kOperator, name, {std::move(lower), std::move(upper), std::move(body)});
}

Expr Parser::matrix() {
  const std::string environment = raw_group();
  const bool is_matrix = environment == "pmatrix" || environment == "bmatrix" || environment == "matrix" ||
                         environment == "smallmatrix" || environment == "array";
  if (!is_matrix) fail("an environment that is no matrix");
  if (environment == "array" && peek().is_sign("{")) raw_group();
  std::vector<Expr> cells;
  size_t num_rows = 0;
  size_t num_columns = 0;
  while (!peek().is_command("end")) {
    const size_t begin = cells.size();
    cells.push_back(parse(kSeparator + 1));
    while (accept("&")) cells.push_back(parse(kSeparator + 1));
    const size_t size = cells.size() - begin;
    if (num_rows++ > 0 && size != num_columns) fail("rows of a matrix differ in length");
    num_columns = size;
    if (!accept("\\\\")) break;
  }
  if (!peek().is_command("end")) fail("a matrix is not closed");
  ++pos_;
  if (raw_group() != environment || cells.empty()) fail("a matrix is not closed");
  return make(Kind::kMatrix, std::to_string(num_rows) + " " + std::to_string(num_columns), std::move(cells));
}

// What stands in the next braces, or the next token, as a name.
std::string Parser::raw_group() {
  if (!accept("{")) {
    if (peek().kind == Token::Kind::kEnd) fail("the answer ends too early");
    Token& token = tokens_[pos_];
    if (token.kind == Token::Kind::kNumber && is_all_digits(token.text))
      ++pos_;
    else if (token.is_sign("(") || token.is_sign(")") || token.is_sign("}"))
      fail("a bracket as a name");
    else
      ++pos_;
    return (token.kind == Token::Kind::kCommand ? "\\" : "") + token.text;
  }
  std::string name;
  for (int depth = 1;;) {
    if (peek().kind == Token::Kind::kEnd) fail("a brace is not closed");
    const Token& token = take();
    depth += token.is_sign("{") ? 1 : token.is_sign("}") ? -1 : 0;
    if (depth == 0) return name;
    name += (token.kind == Token::Kind::kCommand ? "\\" : "") + token.text;
  }
}

}  // namespace noregret::math
