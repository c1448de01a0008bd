#include "reward/http_scorer.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "noregret/base/clock.h"
#include "noregret/base/error.h"
#include "noregret/base/file.h"
#include "noregret/base/output_log.h"
#include "noregret/base/text.h"
#include "reward/message.h"
#include "reward/raw_batch.h"

namespace noregret {
namespace {

HttpClientOptions client_options(const RewardOptions& reward) {
  HttpClientOptions options;
  options.total_s = reward.timeout_s;
  options.max_response_bytes = kMaxReplyBytes;
  return options;
}

FailureKind kind_of(HttpFailure failure) {
  switch (failure) {
    case HttpFailure::kNone:
      return FailureKind::kNone;
    case HttpFailure::kTimeout:
    case HttpFailure::kCancelled:
      return FailureKind::kTimeout;
    case HttpFailure::kProtocol:
    case HttpFailure::kTooLarge:
      return FailureKind::kProtocol;
    case HttpFailure::kStatus:
      return FailureKind::kHttpStatus;
    default:
      return FailureKind::kUnavailable;
  }
}

}  // namespace

HttpScorer::HttpScorer(const RewardOptions& reward, const std::string& options_json, size_t num_in_flight)
    : digest_(sha256_hex(reward.plugin)),
      options_json_(options_json),
      min_reward_(reward.range[0]),
      max_reward_(reward.range[1]),
      batch_size_(static_cast<size_t>(reward.batch)),
      num_in_flight_(num_in_flight),
      client_(reward.plugin, client_options(reward)) {}

std::vector<ComponentScore> HttpScorer::score(std::span<const ScoreItem> items, const CancelFlag* cancel) {
  std::vector<ComponentScore> scores(items.size());
  const size_t num_batches = (items.size() + batch_size_ - 1) / batch_size_;
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < num_batches; i = next++) {
      const size_t begin = i * batch_size_;
      std::vector<ComponentScore> some = ask(items.subspan(begin, std::min(batch_size_, items.size() - begin)), cancel);
      std::move(some.begin(), some.end(), scores.begin() + static_cast<ptrdiff_t>(begin));
    }
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < std::min(num_in_flight_, num_batches); ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  return scores;
}

std::vector<ComponentScore> HttpScorer::ask(std::span<const ScoreItem> items, const CancelFlag* cancel) {
  Json request = hello_message(options_json_);
  request["items"] = items_message(items)["items"];
  const Stopwatch working;
  const HttpResult answer = client_.post_json(dump_json(request), cancel);
  std::vector<ComponentScore> scores(items.size(), failed_score(kind_of(answer.failure), clean_line(answer.error)));
  if (answer.failure == HttpFailure::kNone) {
    try {
      scores = read_results(parse_reply(answer.body), items, min_reward_, max_reward_);
    } catch (const DataError& e) {
      scores.assign(items.size(), failed_score(FailureKind::kProtocol, e.what()));
    }
  }
  for (ComponentScore& score : scores) score.seconds = working.seconds();
  return scores;
}

}  // namespace noregret
