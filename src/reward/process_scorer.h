#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "noregret/base/clock.h"
#include "reward/worker_process.h"

namespace noregret {

// A reward in worker processes: one thread each, which starts its process when it has something to judge, and starts
// another where the last one failed.
class ProcessScorer final : public Scorer {
 public:
  // `digest` as Scorer's. Starts one process to hear what it is. Throws ConfigError.
  ProcessScorer(WorkerSetup setup, size_t num_workers, std::string digest);
  ~ProcessScorer() override;

  const std::string& name() const override { return info_.name; }
  double min_reward() const override { return info_.min_reward; }
  double max_reward() const override { return info_.max_reward; }
  bool is_deterministic() const override { return info_.is_deterministic; }
  const std::string& digest() const override { return digest_; }
  std::vector<ComponentScore> score(std::span<const ScoreItem> items, const CancelFlag* cancel) override;

 private:
  struct Batch {
    size_t num_left = 0;
    std::condition_variable is_done;
  };
  struct Job {
    const ScoreItem* item;
    ComponentScore* result;
    const CancelFlag* cancel;
    Batch* batch;
  };
  // What the first thread found: info_, or why there is none.
  enum class Greeting { kOpen, kDone, kRefused };

  void work(size_t worker_idx);
  void greet(WorkerProcess& worker);
  ComponentScore judge(WorkerProcess& worker, const Job& job);

  const WorkerSetup setup_;
  const std::string digest_;
  ScorerInfo info_;

  std::mutex mutex_;
  std::condition_variable has_news_;
  std::deque<Job> jobs_;
  bool is_closed_ = false;
  Greeting greeting_ = Greeting::kOpen;
  std::string refusal_;
  int num_failed_starts_ = 0;  // since the last good one
  Stopwatch since_failed_start_;
  std::vector<std::thread> threads_;
};

}  // namespace noregret
