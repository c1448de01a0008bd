#include "reward/score_cache.h"

#include "noregret/base/file.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

// Lengths keep the borders between texts.
std::string key_of(const std::string& digest, const ScoreItem& item) {
  std::string text = digest;
  for (const std::string* part :
       {&item.prompt, &item.completion, &item.reference, &item.metadata_json, &item.finish_reason}) {
    text += cat(":", part->size(), ":");
    text += *part;
  }
  return sha256_hex(text);
}

}  // namespace

CachedScorer::CachedScorer(std::unique_ptr<Scorer> scorer, size_t max_entries)
    : scorer_(std::move(scorer)), max_entries_(max_entries) {}

CachedScorer::~CachedScorer() = default;

std::vector<ComponentScore> CachedScorer::score(std::span<const ScoreItem> items, const CancelFlag* cancel) {
  std::vector<ComponentScore> scores(items.size());
  std::vector<ScoreItem> unknown;
  std::vector<std::string> unknown_keys;
  std::unordered_map<std::string, size_t> place;   // of a key among the unknown
  std::vector<std::pair<size_t, size_t>> waiting;  // item, its place
  for (size_t i = 0; i < items.size(); ++i) {
    std::string key = key_of(scorer_->digest(), items[i]);
    if (find(key, scores[i])) continue;
    const auto [found, is_new] = place.emplace(key, unknown.size());
    waiting.emplace_back(i, found->second);
    if (!is_new) continue;
    unknown.push_back(items[i]);
    unknown_keys.push_back(std::move(key));
  }
  const std::vector<ComponentScore> fresh = scorer_->score(unknown, cancel);
  for (size_t i = 0; i < fresh.size(); ++i) keep(unknown_keys[i], fresh[i]);
  for (const auto& [item_idx, unknown_idx] : waiting) scores[item_idx] = fresh[unknown_idx];
  return scores;
}

bool CachedScorer::find(const std::string& key, ComponentScore& score) {
  const std::scoped_lock lock(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return false;
  entries_.splice(entries_.begin(), entries_, found->second);
  score = found->second->score;
  score.seconds = 0.0;
  return true;
}

void CachedScorer::keep(const std::string& key, const ComponentScore& score) {
  if (score.status != ScoreStatus::kOk) return;
  const std::scoped_lock lock(mutex_);
  if (by_key_.contains(key)) return;
  entries_.push_front(Entry{key, score});
  by_key_[key] = entries_.begin();
  if (entries_.size() <= max_entries_) return;
  by_key_.erase(entries_.back().key);
  entries_.pop_back();
}

}  // namespace noregret
