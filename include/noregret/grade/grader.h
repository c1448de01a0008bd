#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "noregret/grade/extract.h"
#include "noregret/grade/grade_options.h"
#include "noregret/grade/verdict.h"

namespace noregret {

struct Grade {
  Verdict verdict = Verdict::kNoAnswer;
  int tier = 0;             // what decided: math::Outcome
  double micros = 0.0;      // of wall time
  bool is_numeric = false;  // equal by agreement at points, without a proof
};

// Grades mathematical answers. What exact rationals decide is decided in this process; the rest in worker programs with
// limits on memory and time, which are started when they are first needed, at most `num_workers` at once. Thread-safe.
//
// For given texts and options the verdict is always the same, but that a worker may be late on a machine under load:
// after one retry on a fresh worker that is kTimeout, which is a failure and no verdict.
class Grader {
 public:
  // `worker`: the program noregret-grade-worker; empty = looked for by find_grade_worker(). Throws ConfigError where it
  // is not there.
  explicit Grader(GradeOptions options, const std::filesystem::path& worker = {}, int num_workers = 2);
  ~Grader();
  Grader(const Grader&) = delete;
  Grader& operator=(const Grader&) = delete;

  // The prediction is an answer and nothing else.
  Grade grade(std::string_view gold, std::string_view prediction) const { return grade(gold, prediction, options_); }
  Grade grade(std::string_view gold, std::string_view prediction, const GradeOptions& options) const;
  // The prediction is what a model wrote; the gold may be a solution.
  Grade grade_completion(std::string_view gold, std::string_view completion, const ExtractOptions& extraction,
                         bool is_truncated, const GradeOptions& options) const;

  const GradeOptions& options() const { return options_; }

 private:
  class Workers;
  GradeOptions options_;
  std::unique_ptr<Workers> workers_;
};

// noregret-grade-worker beside the program or shared library that this code is a part of, or one folder above. Throws
// ConfigError.
std::filesystem::path find_grade_worker();

// Can the grader read it? Else why not: for checks when data is loaded.
std::string why_gold_unreadable(std::string_view gold);

}  // namespace noregret
