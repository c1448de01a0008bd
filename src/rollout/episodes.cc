#include "rollout/episodes.h"

#include <chrono>
#include <cmath>
#include <utility>

#include "noregret/base/check.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

constexpr std::chrono::milliseconds kTick(50);

FailureKind kind_of(EnvFault fault) {
  switch (fault) {
    case EnvFault::kFailed:
      return FailureKind::kFailed;
    case EnvFault::kTimeout:
      return FailureKind::kTimeout;
    case EnvFault::kCrashed:
      return FailureKind::kCrashed;
    case EnvFault::kProtocol:
      return FailureKind::kProtocol;
  }
  return FailureKind::kFailed;
}

// What is wrong with an environment's answer; "" = nothing.
std::string flaw(const StepResult& result) {
  if (!std::isfinite(result.score) || result.score < 0.0 || result.score > 1.0) {
    return cat("its score is ", result.score, ", want 0 to 1");
  }
  for (const auto& [name, value] : result.parts) {
    if (!std::isfinite(value)) return cat("its part ", name, " is ", value, ", want a finite number");
  }
  if (!result.is_over() && result.messages.empty()) return "it goes on and says nothing; want at least one message";
  return "";
}

StepResult checked_step(Episode& episode, const Turn& turn) {
  try {
    StepResult result = episode.step(turn);
    const std::string wrong = flaw(result);
    if (!wrong.empty()) throw EnvError(EnvFault::kProtocol, wrong);
    return result;
  } catch (const EnvError&) {
    throw;
  } catch (const std::exception& e) {
    throw EnvError(EnvFault::kFailed, e.what());
  }
}

}  // namespace

Episodes::Episodes(const RolloutContext& context, const std::vector<TrajectoryGroup>& groups, int64_t group_size,
                   ScoreTick tick)
    : context_(context),
      groups_(groups),
      group_size_(group_size),
      tick_(std::move(tick)),
      live_(groups.size() * static_cast<size_t>(group_size)) {
  const int64_t num_threads = context.tasks->num_parallel_steps();
  for (int64_t i = 0; i < num_threads; ++i) threads_.emplace_back([this] { work(); });
}

Episodes::~Episodes() {
  is_cancelled_ = true;
  {
    const std::scoped_lock lock(mutex_);
    is_closed_ = true;
  }
  has_job_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

Episodes::Live& Episodes::live(int64_t request_idx, int64_t sample_idx) {
  return live_[static_cast<size_t>(request_idx * group_size_ + sample_idx)];
}

void Episodes::end_turn(const Completion& completion) {
  Live& state = live(completion.request_idx, completion.sample_idx);
  std::span<const int64_t> ids(completion.ids);
  ids = ids.subspan(static_cast<size_t>(state.turn_begin));
  const bool is_cut = completion.finish_reason == FinishReason::kLength;
  if (!is_cut) ids = ids.first(ids.size() - 1);
  state.turn_begin = static_cast<int64_t>(completion.ids.size());
  Job job{{completion.request_idx, completion.sample_idx, {}},
          {context_.tokenizer->decode(ids, true), is_cut, &is_cancelled_}};
  state.end.turns.push_back({"assistant", job.turn.text});
  if (threads_.empty()) {
    step(job);
    done_.push_back(std::move(job));
    return;
  }
  {
    const std::scoped_lock lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  has_job_.notify_one();
}

void Episodes::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    has_job_.wait(lock, [this] { return is_closed_ || !jobs_.empty(); });
    if (is_closed_) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    step(job);
    lock.lock();
    done_.push_back(std::move(job));
    has_reply_.notify_one();
  }
}

// Touches nothing but this episode.
void Episodes::step(const Job& job) {
  Live& state = live(job.key.request_idx, job.key.sample_idx);
  try {
    if (!state.episode) {
      state.episode = context_.tasks->start(groups_[static_cast<size_t>(job.key.request_idx)].task);
      if (!state.episode) throw EnvError(EnvFault::kFailed, "it has no episode for this task");
    }
    state.last = checked_step(*state.episode, job.turn);
    if (job.turn.is_cut) state.last.truncate(StopReason::kMaxTokens);
  } catch (const EnvError& e) {
    state.end.failure = kind_of(e.fault);
    state.end.error = cat("environment: ", e.what());
  } catch (const std::exception& e) {
    state.end.failure = FailureKind::kFailed;
    state.end.error = cat("environment: ", e.what());
  }
}

std::vector<Conversation::Reply> Episodes::take_replies(bool waits) {
  std::vector<Job> done;
  {
    std::unique_lock lock(mutex_);
    while (waits && done_.empty()) {
      has_reply_.wait_for(lock, kTick);
      if (!done_.empty() || !tick_) continue;
      lock.unlock();
      tick_();
      lock.lock();
    }
    done = std::exchange(done_, {});
  }
  std::vector<Reply> replies;
  for (Job& job : done) {
    Live& state = live(job.key.request_idx, job.key.sample_idx);
    job.key.ids = reply_ids(state);
    state.turn_begin += static_cast<int64_t>(job.key.ids.size());
    replies.push_back(std::move(job.key));
  }
  return replies;
}

std::vector<int64_t> Episodes::reply_ids(Live& state) const {
  if (state.end.failure != FailureKind::kNone || state.last.is_over()) return {};
  try {
    std::vector<int64_t> ids = encode_reply(*context_.tokenizer, *context_.chat, state.last.messages);
    if (ids.empty()) throw DataError("its messages are no tokens");
    state.end.turns.insert(state.end.turns.end(), state.last.messages.begin(), state.last.messages.end());
    return ids;
  } catch (const DataError& e) {
    state.end.failure = FailureKind::kProtocol;
    state.end.error = cat("environment: ", e.what());
    return {};
  }
}

EpisodeEnd Episodes::take_end(const Completion& completion) {
  Live& state = live(completion.request_idx, completion.sample_idx);
  EpisodeEnd end = std::move(state.end);
  if (end.failure == FailureKind::kNone) {
    // It would go on, but the last reply left no room for a token.
    const bool is_cut = !state.last.is_over();
    if (is_cut) end.turns.erase(end.turns.end() - static_cast<int64_t>(state.last.messages.size()), end.turns.end());
    end.is_terminated = state.last.is_terminated;
    end.is_truncated = state.last.is_truncated || is_cut;
    end.stop_reason = is_cut ? StopReason::kMaxTokens : state.last.stop_reason;
    end.score = state.last.score;
    end.parts = std::move(state.last.parts);
  }
  state = Live{};
  return end;
}

}  // namespace noregret
