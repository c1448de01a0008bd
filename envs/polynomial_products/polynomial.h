#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace noregret {

// Coefficients of a polynomial in x, the constant first; the last one is not 0.
using Polynomial = std::vector<int64_t>;

Polynomial product(const Polynomial& a, const Polynomial& b);

// "2x^2-5x-3", LaTeX too.
std::string latex_of(const Polynomial& polynomial);

// A polynomial in x that is multiplied out and has one term a power, in LaTeX or plain notation. Nothing for all else:
// a product of brackets, two terms with the same power, another letter, a fraction.
std::optional<Polynomial> read_polynomial(const std::string& answer);

}  // namespace noregret
