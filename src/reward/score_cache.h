#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "noregret/reward/scorer.h"

namespace noregret {

// Remembers the verdicts of a deterministic reward by all of the item but its id, and asks for the same item of a batch
// once. Failures are not remembered: a time-out may not come again. Most items that come again do so within a batch, so
// a few thousand entries of some 0.5 KB do.
class CachedScorer final : public Scorer {
 public:
  explicit CachedScorer(std::unique_ptr<Scorer> scorer, size_t max_entries = 1 << 12);
  ~CachedScorer() override;

  const std::string& name() const override { return scorer_->name(); }
  double min_reward() const override { return scorer_->min_reward(); }
  double max_reward() const override { return scorer_->max_reward(); }
  bool is_deterministic() const override { return true; }
  const std::string& digest() const override { return scorer_->digest(); }
  std::vector<ComponentScore> score(std::span<const ScoreItem> items, const CancelFlag* cancel) override;

 private:
  struct Entry {
    std::string key;
    ComponentScore score;
  };

  bool find(const std::string& key, ComponentScore& score);
  void keep(const std::string& key, const ComponentScore& score);

  const std::unique_ptr<Scorer> scorer_;
  const size_t max_entries_;
  std::mutex mutex_;
  std::list<Entry> entries_;  // last used first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_key_;
};

}  // namespace noregret
