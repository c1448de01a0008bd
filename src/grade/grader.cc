#include "noregret/grade/grader.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "grade/worker.h"
#include "noregret/base/error.h"
#include "noregret/grade/compare.h"
#include "noregret/grade/number.h"
#include "noregret/grade/parse.h"

namespace noregret {
namespace {

using math::Commas;
using math::Judgement;
using math::Outcome;
using math::Parsed;
using math::Worker;
using Clock = std::chrono::steady_clock;

Verdict verdict_of(const Parsed& parsed, bool is_gold) {
  if (is_gold) return Verdict::kGoldUnparsable;
  switch (parsed.status) {
    case Parsed::Status::kEmpty:
      return Verdict::kNoAnswer;
    case Parsed::Status::kOverCap:
      return Verdict::kOverCap;
    default:
      return Verdict::kPredUnparsable;
  }
}

Verdict verdict_of(Judgement judgement) {
  switch (judgement) {
    case Judgement::kEqual:
      return Verdict::kEqual;
    case Judgement::kNotEqual:
      return Verdict::kNotEqual;
    case Judgement::kOverCap:
      return Verdict::kOverCap;
    case Judgement::kUnknown:
    case Judgement::kUndecided:
      return Verdict::kUnknown;
  }
  return Verdict::kUnknown;
}

Grade graded(const Outcome& outcome) {
  Grade grade;
  grade.verdict = verdict_of(outcome.judgement);
  grade.tier = outcome.tier;
  grade.is_numeric = outcome.tier == 4 && outcome.judgement == Judgement::kEqual;
  return grade;
}

}  // namespace

// Workers that nobody uses at the moment; a caller takes one for one question.
class Grader::Workers {
 public:
  Workers(const std::filesystem::path& program, int num_workers) {
    for (int i = 0; i < num_workers; ++i) idle_.push_back(std::make_unique<Worker>(program));
  }

  Grade ask(const math::Question& question) {
    const std::unique_ptr<Worker, PutBack> worker(take(), PutBack{this});
    Worker::Answer answer = worker->ask(question);
    const bool is_retried = answer.status != Worker::Status::kAnswered;
    if (is_retried) answer = worker->ask(question);
    if (answer.status == Worker::Status::kAnswered) return graded(answer.outcome);
    Grade grade;
    grade.verdict = answer.status == Worker::Status::kTimeout ? Verdict::kTimeout : Verdict::kCrashed;
    if (grade.verdict == Verdict::kTimeout && question.options.timeout_is_wrong) grade.verdict = Verdict::kUnknown;
    return grade;
  }

 private:
  struct PutBack {
    Workers* workers;
    void operator()(Worker* worker) const { workers->put(worker); }
  };

  Worker* take() {
    std::unique_lock lock(mutex_);
    is_idle_.wait(lock, [this] { return !idle_.empty(); });
    Worker* worker = idle_.back().release();
    idle_.pop_back();
    return worker;
  }

  void put(Worker* worker) {
    {
      const std::lock_guard lock(mutex_);
      idle_.emplace_back(worker);
    }
    is_idle_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable is_idle_;
  std::vector<std::unique_ptr<Worker>> idle_;
};

Grader::Grader(GradeOptions options, const std::filesystem::path& worker, int num_workers)
    : options_(options),
      workers_(std::make_unique<Workers>(worker.empty() ? find_grade_worker() : worker, std::max(num_workers, 1))) {}

Grader::~Grader() = default;

Grade Grader::grade(std::string_view gold, std::string_view prediction, const GradeOptions& options) const {
  const auto begin = Clock::now();
  const auto compared = [&](Commas commas, const Parsed& right) {
    const Parsed said = math::parse_answer(prediction, commas);
    if (!said.is_ok()) return Grade{verdict_of(said, false)};
    const Outcome outcome = math::compare(right.expr, said.expr, options, nullptr);
    if (outcome.judgement != Judgement::kUndecided) return graded(outcome);
    return workers_->ask({0, options, Commas::kGroupThousands, commas, std::string(gold), std::string(prediction)});
  };
  const Parsed right = math::parse_answer(gold);
  Grade grade;
  if (right.is_ok()) {
    grade = compared(Commas::kGroupThousands, right);
    // 1,234 is a number, unless the gold is a list
    const bool may_be_list = grade.verdict == Verdict::kNotEqual && right.expr.is(math::Kind::kList);
    if (may_be_list && prediction.find(',') != std::string_view::npos) {
      const Grade separate = compared(Commas::kSeparate, right);
      if (separate.verdict == Verdict::kEqual) grade = separate;
    }
  } else {
    grade.verdict = Verdict::kGoldUnparsable;
  }
  grade.micros = std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
  return grade;
}

Grade Grader::grade_completion(std::string_view gold, std::string_view completion, const ExtractOptions& extraction,
                               bool is_truncated, const GradeOptions& options) const {
  const auto begin = Clock::now();
  const std::string right = gold_answer(gold);
  const Parsed parsed = math::parse_answer(right);
  Grade grade;
  if (!parsed.is_ok()) {
    grade.verdict = Verdict::kGoldUnparsable;
  } else {
    const Extraction found = extract_answer(completion, extraction, is_truncated, math::is_list(parsed.expr));
    if (found.is_found) grade = this->grade(right, found.answer, options);
  }
  grade.micros = std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
  return grade;
}

std::string why_gold_unreadable(std::string_view gold) {
  const Parsed parsed = math::parse_answer(gold_answer(gold));
  return parsed.is_ok() ? "" : parsed.why;
}

}  // namespace noregret
