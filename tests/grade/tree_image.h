#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "tests/grade/random_tree.h"

// A tree's image in a finite field.
namespace noregret {

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

}  // namespace noregret
