// Random expressions in two notations. NOREGRET_GRADE_FUZZ=100000 runs so many of each kind; the seeds are fixed.
#include <algorithm>
#include <cstdlib>
#include <map>

#include "tests/grade/grading.h"
#include "tests/grade/random_tree.h"
#include "tests/grade/tree_image.h"
#include "tests/grade/tree_text.h"

namespace noregret {
namespace {

constexpr uint64_t kSeed = 20260126;
constexpr int kDepth = 3;

int num_cases() {
  const char* text = std::getenv("NOREGRET_GRADE_FUZZ");
  return text == nullptr ? 1500 : std::max(1, std::atoi(text));
}

bool fits(const std::string& text) { return text.size() < 300; }

// A tree that has a value.
Tree good_tree(Rng& rng) {
  while (true) {
    Tree tree = random_tree(rng, kDepth);
    Rng points(rng.next_u64());
    const bool has_value = image(tree, random_point(points)) && image(tree, random_point(points));
    if (has_value && tree.args.size() > 0 && fits(plain(tree))) return tree;
  }
}

bool differ(const Tree& a, const Tree& b, Rng& rng) {
  for (int i = 0; i < 2; ++i) {
    const FieldPoint point = random_point(rng);
    const std::optional<uint64_t> left = image(a, point);
    const std::optional<uint64_t> right = image(b, point);
    if (left && right && *left != *right) return true;
  }
  return false;
}

TEST(GradeFuzz, FieldHasItsRoots) {
  EXPECT_EQ(times(field_root(2), field_root(2)), 2u);
  EXPECT_EQ(times(field_root(5), field_root(5)), 5u);
}

TEST(GradeFuzz, OneTreeInTwoNotationsIsEqual) {
  Rng rng = Rng::stream(kSeed, Purpose::kEval, {1});
  std::map<std::string, int> counts;
  for (int i = 0; i < num_cases(); ++i) {
    const Tree tree = good_tree(rng);
    const std::string a = latex(tree, rng);
    const std::string b = plain(tree);
    const std::string name = verdict(a, b, {.deadline_ms = 20000});
    ++counts[name];
    EXPECT_EQ(name, "equal") << a << " | " << b;
  }
  for (const auto& [name, count] : counts) RecordProperty(name, count);
}

TEST(GradeFuzz, AnotherLeafIsAnotherValue) {
  Rng rng = Rng::stream(kSeed, Purpose::kEval, {2});
  std::map<std::string, int> counts;
  for (int i = 0; i < num_cases();) {
    const Tree tree = good_tree(rng);
    const Tree other = mutated(tree, rng);
    if (!differ(tree, other, rng)) continue;
    ++i;
    const std::string a = latex(tree, rng);
    const std::string b = plain(other);
    const std::string name = verdict(a, b, {.deadline_ms = 20000});
    ++counts[name];
    EXPECT_TRUE(name == "not_equal" || name == "unknown") << name << ": " << a << " | " << b;
  }
  for (const auto& [name, count] : counts) RecordProperty(name, count);
}

}  // namespace
}  // namespace noregret
