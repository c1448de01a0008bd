#include "envs/arithmetic/arithmetic.h"

#include <vector>

#include "envs/common/procedural.h"

namespace noregret {
namespace {

// A product with the sign before it.
struct Term {
  char sign;
  std::vector<int64_t> factors;
};

// 999^9 is below 2^90, so products of many large numbers would not fit; none is above this.
constexpr int64_t kMaxProduct = 1'000'000'000;

int64_t product_of(const Term& term) {
  int64_t product = 1;
  for (const int64_t factor : term.factors) product *= factor;
  return product;
}

// A term is taken away only from what is at least as large.
std::vector<Term> draw_chain(const ArithmeticOptions& options, Rng& rng) {
  std::vector<Term> terms = {{'+', {draw_int(rng, 1, options.max_number)}}};
  for (int64_t i = 0; i < options.level; ++i) {
    const char sign = options.operators[rng.below(options.operators.size())];
    const int64_t number = draw_int(rng, 1, options.max_number);
    const bool fits = product_of(terms.back()) <= kMaxProduct / number;
    if (sign == '*' && (fits || options.operators == "*")) {
      terms.back().factors.push_back(fits ? number : 1);
    } else {
      terms.push_back({sign == '*' ? '+' : sign, {number}});
    }
  }
  int64_t value = 0;
  for (Term& term : terms) {
    const int64_t product = product_of(term);
    if (term.sign == '-' && product > value) term.sign = '+';
    value += term.sign == '+' ? product : -product;
  }
  return terms;
}

std::string question_of(const std::vector<Term>& terms) {
  std::string text = "What is ";
  for (size_t i = 0; i < terms.size(); ++i) {
    if (i > 0) text += terms[i].sign;
    for (size_t j = 0; j < terms[i].factors.size(); ++j) text += cat(j > 0 ? "*" : "", terms[i].factors[j]);
  }
  return text + "?\n";
}

// "4*2=8. 3+8=11." and the result.
std::pair<std::string, int64_t> work_out(const std::vector<Term>& terms) {
  std::string text;
  const auto step = [&text](int64_t left, char sign, int64_t right) {
    const int64_t result = sign == '*' ? left * right : sign == '+' ? left + right : left - right;
    text += cat(text.empty() ? "" : " ", left, sign, right, "=", result, ".");
    return result;
  };
  std::vector<int64_t> values;
  for (const Term& term : terms) {
    int64_t value = term.factors[0];
    for (size_t i = 1; i < term.factors.size(); ++i) value = step(value, '*', term.factors[i]);
    values.push_back(value);
  }
  int64_t result = values[0];
  for (size_t i = 1; i < values.size(); ++i) result = step(result, terms[i].sign, values[i]);
  return {text, result};
}

class Arithmetic : public ProceduralTasks {
 public:
  Arithmetic(const ArithmeticOptions& options, uint64_t seed)
      : ProceduralTasks("arithmetic", write_fields(options), options.instruction, seed), options_(options) {}

 private:
  Task draw(Rng question, Rng /*other*/) const override {
    const std::vector<Term> terms = draw_chain(options_, question);
    const auto [working, result] = work_out(terms);
    Task task;
    task.messages = {{"user", question_of(terms)}};
    task.reference = cat(result);
    task.metadata["level"] = options_.level;
    task.demonstration = cat(working, "\n#### ", result);
    return task;
  }

  ArithmeticOptions options_;
};

}  // namespace

std::unique_ptr<TaskSource> make_arithmetic(FieldReader& reader, const EnvContext& context) {
  ArithmeticOptions options;
  options.visit_fields(reader);
  reader.finish();
  return std::make_unique<Arithmetic>(options, context.seed);
}

std::unique_ptr<TaskSource> make_arithmetic(const ArithmeticOptions& options, uint64_t seed) {
  return std::make_unique<Arithmetic>(options, seed);
}

}  // namespace noregret
