#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "noregret/base/rng.h"

namespace noregret {

// A random expression over x, y, whole numbers, sqrt(2), sqrt(5) and pi, which is printed in LaTeX or in plain
// notation, and whose image in a finite field tells apart what differs: equal expressions have equal images.
struct Tree {
  enum class Kind { kNumber, kLetter, kRoot, kPi, kSum, kDifference, kProduct, kQuotient, kPower, kNegative };
  Kind kind = Kind::kNumber;
  int64_t value = 0;  // the number, the radicand, the exponent; 0 = x, 1 = y
  std::vector<Tree> args;
};

inline Tree leaf(Rng& rng) {
  switch (rng.below(8)) {
    case 0:
    case 1:
      return {Tree::Kind::kLetter, static_cast<int64_t>(rng.below(2)), {}};
    case 2:
      return {Tree::Kind::kRoot, rng.below(2) == 0 ? 2 : 5, {}};
    case 3:
      return {Tree::Kind::kPi, 0, {}};
    default:
      return {Tree::Kind::kNumber, static_cast<int64_t>(1 + rng.below(rng.below(4) == 0 ? 2000 : 12)), {}};
  }
}

inline Tree random_tree(Rng& rng, int depth) {
  if (depth == 0 || rng.below(5) == 0) return leaf(rng);
  Tree tree;
  switch (rng.below(7)) {
    case 0:
    case 1:
      tree.kind = Tree::Kind::kSum;
      break;
    case 2:
      tree.kind = Tree::Kind::kDifference;
      break;
    case 3:
      tree.kind = Tree::Kind::kProduct;
      break;
    case 4:
      tree.kind = Tree::Kind::kQuotient;
      break;
    case 5:
      tree.kind = Tree::Kind::kPower;
      tree.value = static_cast<int64_t>(2 + rng.below(2));
      break;
    default:
      tree.kind = Tree::Kind::kNegative;
      break;
  }
  const int num_args = tree.kind == Tree::Kind::kPower || tree.kind == Tree::Kind::kNegative ? 1 : 2;
  for (int i = 0; i < num_args; ++i) tree.args.push_back(random_tree(rng, depth - 1));
  return tree;
}

inline Tree* leaf_at(Tree& tree, size_t& index) {
  if (tree.args.empty()) return index-- == 0 ? &tree : nullptr;
  for (Tree& arg : tree.args) {
    if (Tree* found = leaf_at(arg, index)) return found;
  }
  return nullptr;
}

inline size_t num_leaves(const Tree& tree) {
  if (tree.args.empty()) return 1;
  size_t count = 0;
  for (const Tree& arg : tree.args) count += num_leaves(arg);
  return count;
}

// One leaf becomes another one.
inline Tree mutated(Tree tree, Rng& rng) {
  size_t index = rng.below(num_leaves(tree));
  Tree& leaf = *leaf_at(tree, index);
  switch (leaf.kind) {
    case Tree::Kind::kNumber:
      leaf.value += leaf.value > 1 && rng.below(2) == 0 ? -1 : 1;
      break;
    case Tree::Kind::kLetter:
      leaf.value = 1 - leaf.value;
      break;
    case Tree::Kind::kRoot:
      leaf.value = 7 - leaf.value;
      break;
    default:
      leaf = {Tree::Kind::kNumber, 3, {}};
      break;
  }
  return tree;
}

// ---- the finite field

inline constexpr uint64_t kField = (uint64_t{1} << 61) - 1;  // a prime, in which 2 and 5 are squares

inline uint64_t times(uint64_t a, uint64_t b) {
  return static_cast<uint64_t>(static_cast<unsigned __int128>(a) * b % kField);
}
inline uint64_t power(uint64_t base, uint64_t exponent) {
  uint64_t result = 1;
  for (; exponent > 0; exponent >>= 1, base = times(base, base)) {
    if ((exponent & 1) != 0) result = times(result, base);
  }
  return result;
}

struct FieldPoint {
  uint64_t letters[2];
  uint64_t roots[2];  // of 2 and 5
  uint64_t pi;
};

// The prime is 3 modulo 4, so a^((p + 1) / 4) is a root of the square a.
inline uint64_t field_root(uint64_t square) { return power(square, (kField + 1) / 4); }

inline FieldPoint random_point(Rng& rng) {
  return {{rng.below(kField), rng.below(kField)}, {field_root(2), field_root(5)}, rng.below(kField)};
}

// Nothing where a denominator is 0.
inline std::optional<uint64_t> image(const Tree& tree, const FieldPoint& point) {
  std::vector<uint64_t> args;
  for (const Tree& arg : tree.args) {
    const std::optional<uint64_t> value = image(arg, point);
    if (!value) return {};
    args.push_back(*value);
  }
  switch (tree.kind) {
    case Tree::Kind::kNumber:
      return static_cast<uint64_t>(tree.value);
    case Tree::Kind::kLetter:
      return point.letters[tree.value];
    case Tree::Kind::kRoot:
      return point.roots[tree.value == 5 ? 1 : 0];
    case Tree::Kind::kPi:
      return point.pi;
    case Tree::Kind::kSum:
      return (args[0] + args[1]) % kField;
    case Tree::Kind::kDifference:
      return (args[0] + kField - args[1]) % kField;
    case Tree::Kind::kProduct:
      return times(args[0], args[1]);
    case Tree::Kind::kQuotient:
      if (args[1] == 0) return {};
      return times(args[0], power(args[1], kField - 2));
    case Tree::Kind::kPower:
      return power(args[0], static_cast<uint64_t>(tree.value));
    case Tree::Kind::kNegative:
      return (kField - args[0]) % kField;
  }
  return {};
}

// ---- the two notations

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
