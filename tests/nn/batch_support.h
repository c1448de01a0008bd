#pragma once

#include <span>
#include <utility>

#include "tests/nn/nn_support.h"

namespace noregret {

inline std::vector<int64_t> random_ids(int64_t length, int64_t vocab_size, Rng& rng) {
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < length; ++i) ids.push_back(static_cast<int64_t>(rng.below(vocab_size)));
  return ids;
}

inline std::vector<int64_t> joined_ids(std::vector<int64_t> head, std::span<const int64_t> tail) {
  head.insert(head.end(), tail.begin(), tail.end());
  return head;
}

// A prompt and what follows it in each of its sequences.
struct Family {
  std::vector<int64_t> prompt;
  std::vector<std::vector<int64_t>> tails;
};

// Each prompt once, its tails as segments behind it.
inline TokenBatch batch_of_families(const std::vector<Family>& families) {
  std::vector<std::vector<int64_t>> runs;
  std::vector<std::pair<int64_t, int64_t>> prefixes;  // segment and length of each run's prompt
  for (const Family& family : families) {
    const auto prefix = static_cast<int64_t>(runs.size());
    runs.push_back(family.prompt);
    prefixes.emplace_back(-1, 0);
    for (const std::vector<int64_t>& tail : family.tails) {
      runs.push_back(tail);
      prefixes.emplace_back(prefix, static_cast<int64_t>(family.prompt.size()));
    }
  }
  TokenBatch batch = batch_of(runs);
  for (size_t i = 0; i < runs.size(); ++i) {
    Segment& segment = batch.segments[i];
    segment.prefix_segment = prefixes[i].first;
    batch.positions.narrow(0, segment.begin, segment.length).add_(prefixes[i].second);
  }
  return batch;
}

// A batch of runs, each appended to its cache slot.
inline TokenBatch appended(const KvCache& cache, const std::vector<std::vector<int64_t>>& runs,
                           const std::vector<int64_t>& slots) {
  TokenBatch batch = batch_of(runs);
  for (size_t i = 0; i < runs.size(); ++i) {
    Segment& segment = batch.segments[i];
    segment.kv_slot = slots[i];
    batch.positions.narrow(0, segment.begin, segment.length).add_(cache.length(slots[i]));
  }
  return batch;
}

}  // namespace noregret
