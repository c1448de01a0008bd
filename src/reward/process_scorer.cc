#include "reward/process_scorer.h"

#include <algorithm>

#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

constexpr double kStartSeconds = 20.0;  // to load, however short the time for an item is
constexpr int kMaxFailedStarts = 3;
constexpr double kPauseSeconds = 1.0;  // after that many, in which items fail at once

}  // namespace

ProcessScorer::ProcessScorer(WorkerSetup setup, size_t num_workers, std::string digest)
    : setup_(std::move(setup)), digest_(std::move(digest)) {
  threads_.emplace_back([this] { work(0); });
  std::unique_lock lock(mutex_);
  has_news_.wait(lock, [this] { return greeting_ != Greeting::kOpen; });
  if (greeting_ == Greeting::kRefused) {
    lock.unlock();
    threads_.front().join();
    throw ConfigError(refusal_);
  }
  for (size_t i = 1; i < num_workers; ++i) threads_.emplace_back([this, i] { work(i); });
}

ProcessScorer::~ProcessScorer() {
  {
    const std::scoped_lock lock(mutex_);
    is_closed_ = true;
  }
  has_news_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

std::vector<ComponentScore> ProcessScorer::score(std::span<const ScoreItem> items, const CancelFlag* cancel) {
  std::vector<ComponentScore> scores(items.size());
  if (items.empty()) return scores;
  Batch batch;
  batch.num_left = items.size();
  std::unique_lock lock(mutex_);
  for (size_t i = 0; i < items.size(); ++i) jobs_.push_back(Job{&items[i], &scores[i], cancel, &batch});
  has_news_.notify_all();
  batch.is_done.wait(lock, [&] { return batch.num_left == 0; });
  return scores;
}

void ProcessScorer::work(size_t worker_idx) {
  WorkerProcess worker(setup_);
  if (worker_idx == 0) greet(worker);
  std::unique_lock lock(mutex_);
  while (greeting_ == Greeting::kDone) {
    has_news_.wait(lock, [this] { return is_closed_ || !jobs_.empty(); });
    if (is_closed_) return;
    const Job job = jobs_.front();
    jobs_.pop_front();
    lock.unlock();
    ComponentScore score = judge(worker, job);
    lock.lock();
    *job.result = std::move(score);
    if (--job.batch->num_left == 0) job.batch->is_done.notify_all();
  }
}

void ProcessScorer::greet(WorkerProcess& worker) {
  Greeting greeting = Greeting::kRefused;
  std::string refusal;
  try {
    info_ = worker.start(kStartSeconds, nullptr);
    greeting = Greeting::kDone;
  } catch (const ConfigError& e) {
    const std::string why = e.what();
    refusal = why.starts_with("reward ") ? why : cat(setup_.process.label, ": ", why);
  } catch (const Error& e) {
    refusal = cat(setup_.process.label, ": it does not start: ", e.what());
  }
  const std::scoped_lock lock(mutex_);
  greeting_ = greeting;
  refusal_ = refusal;
  has_news_.notify_all();
}

ComponentScore ProcessScorer::judge(WorkerProcess& worker, const Job& job) {
  if (job.cancel != nullptr && *job.cancel) {
    return failed_score(FailureKind::kTimeout, "not waited for: the run stops");
  }
  if (worker.is_running()) return worker.ask(*job.item, info_, job.cancel);
  {
    const std::scoped_lock lock(mutex_);
    if (num_failed_starts_ >= kMaxFailedStarts && since_failed_start_.seconds() < kPauseSeconds) {
      return failed_score(FailureKind::kUnavailable, "it did not start again; this item was not tried");
    }
  }
  std::string why;
  try {
    const ScorerInfo info = worker.start(kStartSeconds, job.cancel);
    const std::scoped_lock lock(mutex_);
    num_failed_starts_ = 0;
    const bool is_same =
        info.name == info_.name && info.min_reward == info_.min_reward && info.max_reward == info_.max_reward;
    if (!is_same) why = "it came up as another one: its name or range have changed";
  } catch (const Error& e) {
    why = e.what();
  }
  if (why.empty()) return worker.ask(*job.item, info_, job.cancel);
  worker.stop();
  const std::scoped_lock lock(mutex_);
  ++num_failed_starts_;
  since_failed_start_ = Stopwatch();
  return failed_score(FailureKind::kUnavailable, cat("it does not start again: ", why));
}

}  // namespace noregret
