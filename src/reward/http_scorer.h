#pragma once

#include <string>
#include <vector>

#include "noregret/http/client.h"
#include "noregret/reward/reward_options.h"
#include "noregret/reward/scorer.h"

namespace noregret {

// A reward that is a service: posts {"items": [...]} in batches, several at a time, and reads {"results": [...]}.
class HttpScorer final : public Scorer {
 public:
  // Asks nothing yet. Throws ConfigError on a bad address.
  HttpScorer(const RewardOptions& reward, const std::string& options_json, size_t num_in_flight);

  const std::string& name() const override { return name_; }
  double min_reward() const override { return min_reward_; }
  double max_reward() const override { return max_reward_; }
  bool is_deterministic() const override { return false; }
  const std::string& digest() const override { return digest_; }  // of the address: what is behind it nobody knows
  std::vector<ComponentScore> score(std::span<const ScoreItem> items, const CancelFlag* cancel) override;

 private:
  std::vector<ComponentScore> ask(std::span<const ScoreItem> items, const CancelFlag* cancel);

  std::string name_ = "http";
  std::string digest_;
  std::string options_json_;
  double min_reward_;
  double max_reward_;
  size_t batch_size_;
  size_t num_in_flight_;
  HttpClient client_;
};

}  // namespace noregret
