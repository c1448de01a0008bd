#pragma once

#include <cstdint>
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

}  // namespace noregret
