#pragma once

#include <map>
#include <string>
#include <string_view>

#include "grade_worker/flint_headers.h"
#include "noregret/grade/expr.h"

namespace noregret::math {

// A complex ball (Johansson, Arb, doi 10.1109/TC.2017.2690633): a number that surely lies within it.
class Ball {
 public:
  Ball() { acb_init(value_); }
  ~Ball() { acb_clear(value_); }
  Ball(const Ball& other) : Ball() { acb_set(value_, other.value_); }
  Ball& operator=(const Ball& other) {
    acb_set(value_, other.value_);
    return *this;
  }
  acb_ptr get() { return value_; }
  acb_srcptr get() const { return value_; }
  bool is_finite() const { return acb_is_finite(value_) != 0; }
  bool overlaps(const Ball& other) const { return acb_overlaps(value_, other.value_) != 0; }
  bool contains_zero() const { return acb_contains_zero(value_) != 0; }
  bool is_tiny(long exponent) const;  // its radius is below 2^exponent, and below 2^exponent of its size

 private:
  acb_t value_;
};

// What a tree stands for where the letters have these values.
struct Point {
  std::map<std::string, Ball> letters;  // by canonical(); calls and operators are letters too
  bool log_is_decimal = false;          // what "log" without a base means
};

bool is_trigonometric(std::string_view name);                // takes an angle, which may be given in degrees
bool is_decimal_log(const Expr& expr, bool log_is_decimal);  // of a log, ln or lg: has it the base 10?

// The value at the point, to about `precision` bits; not finite where it has none. Real odd roots of negative numbers
// are real: (-8)^(1/3) is -2.
Ball evaluate(const Expr& expr, const Point& point, long precision);

}  // namespace noregret::math
