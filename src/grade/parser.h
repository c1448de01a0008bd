#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "grade/lexer.h"
#include "noregret/grade/expr.h"

namespace noregret::math {

// A Pratt parser over the tokens of one answer. Throws ParseFailure.
class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}
  Expr parse_all();

 private:
  // How strongly an operator binds what stands left of it.
  enum Binding {
    kNone = 0,
    kSeparator = 10,
    kRelation = 20,
    kSets = 30,
    kColon = 40,
    kUnitMark = 45,
    kAdditive = 50,
    kMultiplicative = 60,
    kJuxtaposed = 65,
    kPowerMark = 80,
    kPostfix = 90,
    kMixedPart = 95,
  };

  Expr parse(int min_binding);
  Expr prefix(int min_binding);
  int binding_of_next() const;
  Expr infix(Expr left, int binding);
  bool begins_factor(const Token& token) const;
  bool is_connective(const Token& token) const;

  // parser_infix.cc
  Expr separated(Expr first);
  Expr related(Expr first);
  Expr set_operation(Expr left);
  Expr added(Expr left);
  Expr multiplied(Expr left);
  Expr juxtaposed(Expr left);
  Expr powered(Expr base);
  Expr with_unit(Expr value);
  Expr mixed(Expr whole);
  bool is_mixed_next() const;

  // parser_atoms.cc
  Expr number();
  Expr word();
  Expr letter(std::string name);
  Expr named(std::string name);  // subscript, primes, call
  Expr command();
  Expr name_command(const std::string& name);
  Expr bracketed();
  Expr braces();
  Expr set_braces();
  Expr absolute();
  Expr fraction();
  Expr tex_argument();
  Expr root();
  Expr function(std::string name);
  Expr operator_with_bounds(std::string name);
  Expr matrix();
  std::string raw_group();

  const Token& peek(size_t ahead = 0) const { return tokens_[std::min(pos_ + ahead, tokens_.size() - 1)]; }
  const Token& take() { return tokens_[std::min(pos_++, tokens_.size() - 1)]; }
  bool accept(std::string_view sign);
  void expect(std::string_view sign);
  [[noreturn]] static void fail(std::string why) { throw ParseFailure{false, std::move(why)}; }
  static void want_value(const Expr& expr);

  std::vector<Token> tokens_;
  size_t pos_ = 0;
  int depth_ = 0;
  int open_bars_ = 0;      // of |x| that enclose the position
  int open_function_ = 0;  // reading an argument without brackets
};

}  // namespace noregret::math
