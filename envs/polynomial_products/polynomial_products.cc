#include "envs/polynomial_products/polynomial_products.h"

#include "envs/common/answer_episode.h"
#include "envs/common/procedural.h"
#include "envs/polynomial_products/polynomial.h"

namespace noregret {
namespace {

int64_t draw_coefficient(int64_t max, Rng& rng) {
  const int64_t size = draw_int(rng, 1, max);
  return rng.below(2) == 0 ? size : -size;
}

class PolynomialProducts : public ProceduralTasks {
 public:
  PolynomialProducts(const PolynomialProductsOptions& options, uint64_t seed)
      : ProceduralTasks("polynomial_products", write_fields(options), options.instruction, seed), options_(options) {}

  std::unique_ptr<Episode> start(const Task& task) const override {
    return judge_answer([want = task.reference](const std::string& answer) {
      const std::optional<Polynomial> polynomial = read_polynomial(answer);
      if (!polynomial) return AnswerVerdict::kUnreadable;
      return latex_of(*polynomial) == want ? AnswerVerdict::kRight : AnswerVerdict::kWrong;
    });
  }

 private:
  Task draw(Rng question, Rng /*other*/) const override {
    std::string factors;
    std::string working;
    Polynomial result = {1};
    for (int64_t i = 0; i < options_.level; ++i) {
      const int64_t constant = draw_coefficient(options_.max_coefficient, question);
      const Polynomial factor = {constant, draw_coefficient(options_.max_coefficient, question)};
      const Polynomial next = product(result, factor);
      if (i > 0) {
        working += cat(i > 1 ? " " : "", "(", latex_of(result), ")(", latex_of(factor), ")=", latex_of(next), ".");
      }
      factors += cat("(", latex_of(factor), ")");
      result = next;
    }
    Task task;
    task.messages = {{"user", cat("Expand ", factors, ".")}};
    task.reference = latex_of(result);
    task.metadata["level"] = options_.level;
    task.demonstration = cat(working, "\n\\boxed{", task.reference, "}");
    return task;
  }

  PolynomialProductsOptions options_;
};

}  // namespace

std::unique_ptr<TaskSource> make_polynomial_products(FieldReader& reader, const EnvContext& context) {
  PolynomialProductsOptions options;
  options.visit_fields(reader);
  reader.finish();
  return std::make_unique<PolynomialProducts>(options, context.seed);
}

}  // namespace noregret
