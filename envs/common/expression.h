#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace noregret {

// An arithmetic expression in the order of a stack machine: numbers are pushed, an operator takes the last two.
struct Expression {
  struct Item {
    char sign;  // + - * /, or 'n' for a number
    int64_t number = 0;
  };
  std::vector<Item> items;
  std::vector<int64_t> numbers() const;  // as written, from the left
};

// Reads "(5+7)*2", also with \times, \cdot, \div and the signs for times, divided by and minus. Numbers are digits, at
// most nine, the first not 0; + - * / have two operands; brackets nest at most 16 deep. All else is nothing: a sign
// before a number, powers, decimals, "//", "2(3)", an equals sign.
std::optional<Expression> read_expression(std::string_view text);

struct Fraction {
  int64_t above = 0;
  int64_t below = 1;
};

// The exact value, not reduced; nothing where it divides by zero. For numbers a_1 ... a_n of at least 1, above and
// below are at most 2^(n-1) a_1 ... a_n, which has to fit an int64_t.
std::optional<Fraction> value_of(const Expression& expression);

}  // namespace noregret
