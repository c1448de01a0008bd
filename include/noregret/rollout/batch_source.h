#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "noregret/objective/objective_options.h"
#include "noregret/rollout/data_options.h"
#include "noregret/rollout/packing.h"
#include "noregret/rollout/rollouter.h"

namespace noregret {

struct SourceBatch {
  TrainBatch train;
  Metrics metrics;                      // deterministic: metrics.jsonl
  Metrics timing;                       // time/rollout_s, time/reward_s, perf/rollout_tokens_per_s: timing.jsonl
  std::vector<TrajectoryGroup> groups;  // RL only
};

// What differs between modes: where a step's batch comes from. A pure function of (options, seed, step) and, in RL, of
// the policy.
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  virtual SourceBatch next(int64_t step) = 0;  // step from 1
};

// RL: rollout, advantages, packing. Task indices go round the training split in a shuffled order that is a function of
// seed and epoch (endless sources are read in order).
class RolloutSource : public BatchSource {
 public:
  struct Setup {
    RolloutContext context;
    AdapterStack policy;
    RolloutOptions rollout;
    ObjectiveOptions objective;
    int64_t microbatch_tokens = 8192;
    RolloutProgress progress;
  };
  explicit RolloutSource(Setup setup) : setup_(std::move(setup)) {}
  SourceBatch next(int64_t step) override;

 private:
  Setup setup_;
};

// SFT: rows of a JSONL file ({"messages"} or {"prompt", "completion"}) or a task's demonstrations, loss on completions
// only. Throws DataError: a row without completion, one longer than the context (data.too_long: error), an empty file.
class DatasetSource : public BatchSource {
 public:
  struct Setup {
    int64_t max_positions = 0;  // of the model: no example may be longer
    at::Device device = at::kCPU;
    const Tokenizer* tokenizer = nullptr;
    const ChatTemplate* chat = nullptr;
    const TaskSource* tasks = nullptr;  // demonstrations, or null
    DataOptions data;
    int64_t microbatch_tokens = 8192;
    uint64_t seed = 0;
  };
  explicit DatasetSource(Setup setup);
  ~DatasetSource() override;
  SourceBatch next(int64_t step) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace noregret
