#include <optional>
#include <stdexcept>

#include "noregret/grade/grader.h"
#include "noregret/grade/gsm8k.h"
#include "noregret/reward/sdk.h"
#include "noregret/reward/sdk_options.h"

namespace {

using noregret::Grade;
using noregret::Verdict;
using noregret::sdk::Item;
using noregret::sdk::Score;

struct Options {
  using HasFieldsTag = void;
  std::string style = "math";
  std::string worker;
  int64_t workers = 2;
  noregret::GradeOptions grade;
  noregret::ExtractOptions extract;

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("style", style, noregret::OneOf{"math", "gsm8k"}, "where the answer stands: in the last box, or after \"####\"");
    v("worker", worker, "the program noregret-grade-worker; empty = the one beside the plugin or one folder above");
    v("workers", workers, noregret::Range{1.0, 256.0}, "of them at most at once");
    grade.visit_fields(v);
    extract.visit_fields(v);
  }
};

double one_if(bool condition) { return condition ? 1.0 : 0.0; }

class MathAnswer {
 public:
  static constexpr const char* kName = "math_answer";
  static constexpr double kMinReward = 0.0;
  static constexpr double kMaxReward = 1.0;
  // Not deterministic: on a machine under load a worker may be late, and the item fails.
  static constexpr uint32_t kFlags = NOREGRET_THREAD_SAFE;

  explicit MathAnswer(std::string_view options_json)
      : options_(noregret::sdk::read_options<Options>(options_json)),
        grader_(options_.grade, options_.worker, static_cast<int>(options_.workers)) {}

  Score score(const Item& item) const {
    const Grade grade = options_.style == "gsm8k" ? grade_number(item) : grade_boxed(item);
    switch (grade.verdict) {
      case Verdict::kGoldUnparsable:
        throw std::invalid_argument("the reference " + noregret::quoted(item.reference) +
                                    " is no answer that the grader can read");
      case Verdict::kTimeout:
        throw std::runtime_error("timeout: the comparison took too long, twice");
      case Verdict::kCrashed:
        throw std::runtime_error("crashed: the worker that compares died, twice");
      default:
        break;
    }
    return {one_if(grade.verdict == Verdict::kEqual),
            {{"answered", one_if(grade.verdict != Verdict::kNoAnswer)},
             {"unparsable", one_if(grade.verdict == Verdict::kPredUnparsable)},
             {"unknown", one_if(grade.verdict == Verdict::kUnknown)},
             {"over_cap", one_if(grade.verdict == Verdict::kOverCap)},
             {"numeric", one_if(grade.is_numeric)}}};
  }

 private:
  Grade grade_boxed(const Item& item) const {
    return grader_.grade_completion(item.reference, item.completion, options_.extract, item.is_truncated(),
                                    options_.grade);
  }

  static Grade grade_number(const Item& item) {
    return Grade{noregret::grade_gsm8k(item.reference, item.completion, item.is_truncated(), true).verdict};
  }

  Options options_;
  noregret::Grader grader_;
};

}  // namespace

NOREGRET_REWARD_PLUGIN(MathAnswer)
