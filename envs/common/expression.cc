#include "envs/common/expression.h"

#include <string>
#include <utility>

#include "noregret/base/check.h"

namespace noregret {
namespace {

// What else the four signs and brackets are written as.
std::string in_plain_signs(std::string_view text) {
  constexpr std::pair<std::string_view, char> kSigns[] = {
      {"\\times", '*'},  {"\\cdot", '*'},   {"\\div", '/'},    {"\\left(", '('},      {"\\right)", ')'},
      {"\xc3\x97", '*'}, {"\xc2\xb7", '*'}, {"\xc3\xb7", '/'}, {"\xe2\x88\x92", '-'},
  };
  std::string plain;
  while (!text.empty()) {
    size_t size = 1;
    char sign = text.front();
    for (const auto& [written, meant] : kSigns) {
      if (!text.starts_with(written)) continue;
      size = written.size();
      sign = meant;
    }
    plain += sign;
    text.remove_prefix(size);
  }
  return plain;
}

// sum = product {(+|-) product}, product = operand {(*|/) operand}, operand = number | "(" sum ")".
class Reader {
 public:
  explicit Reader(std::string text) : text_(std::move(text)) {}

  std::optional<Expression> read() {
    if (!read_chain("+-", 0) || !at_end()) return std::nullopt;
    return std::move(expression_);
  }

 private:
  static constexpr int kMaxDepth = 16;
  static constexpr size_t kMaxDigits = 9;

  void skip_spaces() {
    while (pos_ < text_.size() && text_[pos_] == ' ') ++pos_;
  }

  bool at_end() {
    skip_spaces();
    return pos_ == text_.size();
  }

  // The next sign if it is one of these, else 0.
  char take(std::string_view signs) {
    if (at_end() || signs.find(text_[pos_]) == std::string_view::npos) return 0;
    return text_[pos_++];
  }

  bool read_chain(std::string_view signs, int depth) {
    const bool is_sum = signs == "+-";
    const auto read_part = [&] { return is_sum ? read_chain("*/", depth) : read_operand(depth); };
    if (!read_part()) return false;
    while (const char sign = take(signs)) {
      if (!read_part()) return false;
      expression_.items.push_back({sign});
    }
    return true;
  }

  bool read_operand(int depth) {
    if (take("(") != 0) return depth < kMaxDepth && read_chain("+-", depth + 1) && take(")") != 0;
    const size_t end = std::min(text_.find_first_not_of("0123456789", pos_), text_.size());
    const size_t size = end - pos_;
    if (size == 0 || size > kMaxDigits || text_[pos_] == '0') return false;
    expression_.items.push_back({'n', std::stoll(text_.substr(pos_, size))});
    pos_ = end;
    return true;
  }

  std::string text_;
  size_t pos_ = 0;
  Expression expression_;
};

Fraction applied(char sign, const Fraction& left, const Fraction& right) {
  switch (sign) {
    case '+':
      return {left.above * right.below + right.above * left.below, left.below * right.below};
    case '-':
      return {left.above * right.below - right.above * left.below, left.below * right.below};
    case '*':
      return {left.above * right.above, left.below * right.below};
    default:
      return {left.above * right.below, left.below * right.above};
  }
}

}  // namespace

std::vector<int64_t> Expression::numbers() const {
  std::vector<int64_t> numbers;
  for (const Item& item : items) {
    if (item.sign == 'n') numbers.push_back(item.number);
  }
  return numbers;
}

std::optional<Expression> read_expression(std::string_view text) { return Reader(in_plain_signs(text)).read(); }

std::optional<Fraction> value_of(const Expression& expression) {
  std::vector<Fraction> stack;
  for (const Expression::Item& item : expression.items) {
    if (item.sign == 'n') {
      stack.push_back({item.number, 1});
      continue;
    }
    NOREGRET_CHECK(stack.size() >= 2);
    const Fraction right = stack.back();
    stack.pop_back();
    if (item.sign == '/' && right.above == 0) return std::nullopt;
    stack.back() = applied(item.sign, stack.back(), right);
  }
  NOREGRET_CHECK(stack.size() == 1);
  return stack.back();
}

}  // namespace noregret
