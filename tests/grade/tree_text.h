#pragma once

#include <string>

#include "tests/grade/random_tree.h"

// A tree in two notations.
namespace noregret {

inline bool is_sum(const Tree& tree) {
  return tree.kind == Tree::Kind::kSum || tree.kind == Tree::Kind::kDifference || tree.kind == Tree::Kind::kNegative;
}

inline std::string plain(const Tree& tree) {
  const auto nested = [](const Tree& arg) { return arg.args.empty() ? plain(arg) : "(" + plain(arg) + ")"; };
  switch (tree.kind) {
    case Tree::Kind::kNumber:
      return std::to_string(tree.value);
    case Tree::Kind::kLetter:
      return tree.value == 0 ? "x" : "y";
    case Tree::Kind::kRoot:
      return "sqrt(" + std::to_string(tree.value) + ")";
    case Tree::Kind::kPi:
      return "pi";
    case Tree::Kind::kSum:
      return plain(tree.args[0]) + " + " + nested(tree.args[1]);
    case Tree::Kind::kDifference:
      return plain(tree.args[0]) + "-" + nested(tree.args[1]);
    case Tree::Kind::kProduct:
      return nested(tree.args[0]) + "*" + nested(tree.args[1]);
    case Tree::Kind::kQuotient:
      return nested(tree.args[0]) + "/" + nested(tree.args[1]);
    case Tree::Kind::kPower:
      return nested(tree.args[0]) + "^" + std::to_string(tree.value);
    case Tree::Kind::kNegative:
      return "-" + nested(tree.args[0]);
  }
  return "";
}

// Sums and products in the other order, fractions stacked, products without a sign where they may be.
inline std::string latex(const Tree& tree, Rng& rng) {
  const auto in_brackets = [&](const Tree& arg) {
    const std::string text = latex(arg, rng);
    return rng.below(2) == 0 ? "\\left(" + text + "\\right)" : "(" + text + ")";
  };
  const auto factor = [&](const Tree& arg) {
    const bool needs = is_sum(arg) || arg.kind == Tree::Kind::kProduct;
    return needs ? in_brackets(arg) : latex(arg, rng);
  };
  switch (tree.kind) {
    case Tree::Kind::kNumber:
      return std::to_string(tree.value);
    case Tree::Kind::kLetter:
      return tree.value == 0 ? "x" : "y";
    case Tree::Kind::kRoot:
      return (rng.below(2) == 0 ? "\\sqrt{" : "\\sqrt{ ") + std::to_string(tree.value) + "}";
    case Tree::Kind::kPi:
      return "\\pi ";
    case Tree::Kind::kSum: {
      const std::string first = is_sum(tree.args[1]) ? in_brackets(tree.args[1]) : latex(tree.args[1], rng);
      return first + (rng.below(2) == 0 ? "+" : " + ") +
             (is_sum(tree.args[0]) ? in_brackets(tree.args[0]) : latex(tree.args[0], rng));
    }
    case Tree::Kind::kDifference:
      return "-" + factor(tree.args[1]) + "+" +
             (is_sum(tree.args[0]) ? in_brackets(tree.args[0]) : latex(tree.args[0], rng));
    case Tree::Kind::kProduct: {
      const std::string right = factor(tree.args[0]);
      const bool needs_sign = right[0] >= '0' && right[0] <= '9';
      return factor(tree.args[1]) + (needs_sign || rng.below(2) == 0 ? " \\cdot " : " \\times ") + right;
    }
    case Tree::Kind::kQuotient:
      return (rng.below(2) == 0 ? "\\frac{" : "\\dfrac{") + latex(tree.args[0], rng) + "}{" + latex(tree.args[1], rng) +
             "}";
    case Tree::Kind::kPower: {
      const bool is_plain = tree.args[0].args.empty() && tree.args[0].kind != Tree::Kind::kRoot;
      return (is_plain ? latex(tree.args[0], rng) : in_brackets(tree.args[0])) + "^{" + std::to_string(tree.value) +
             "}";
    }
    case Tree::Kind::kNegative:
      return "-" + factor(tree.args[0]);
  }
  return "";
}

}  // namespace noregret
