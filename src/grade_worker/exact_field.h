#pragma once

#include <memory>

#include "noregret/grade/expr.h"

namespace noregret::math {

enum class Truth { kTrue, kFalse, kUnknown };

// Are two closed-form constants the same number? By Calcium (Johansson, arXiv:2011.01728), whose answers are proofs.
// kUnknown also where a part is undefined or has no such form.
Truth equal_constants(const Expr& a, const Expr& b, bool log_is_decimal);

}  // namespace noregret::math
