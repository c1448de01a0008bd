#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "noregret/rollout/rollouter.h"

namespace noregret {

// The episodes of a rollout: each turn that the policy ends is given to its environment, whose answer becomes the ids
// that the policy goes on after. Steps run where they are asked for, or in threads where the source wants it so.
class Episodes final : public Conversation {
 public:
  // All borrowed. `tick` is called while nothing but environments can go on.
  Episodes(const RolloutContext& context, const std::vector<TrajectoryGroup>& groups, int64_t group_size,
           ScoreTick tick);
  // Calls off what is open, and waits for it.
  ~Episodes() override;

  void end_turn(const Completion& completion) override;
  std::vector<Reply> take_replies(bool waits) override;

  // Of a completion that is over.
  EpisodeEnd take_end(const Completion& completion);

 private:
  struct Live {
    std::unique_ptr<Episode> episode;
    int64_t turn_begin = 0;  // of the ids
    EpisodeEnd end;
    StepResult last;
  };
  struct Job {
    Reply key;
    Turn turn;
  };

  Live& live(int64_t request_idx, int64_t sample_idx);
  void step(const Job& job);
  void work();
  std::vector<int64_t> reply_ids(Live& live) const;

  const RolloutContext& context_;
  const std::vector<TrajectoryGroup>& groups_;
  const int64_t group_size_;
  const ScoreTick tick_;
  std::vector<Live> live_;

  std::mutex mutex_;
  std::condition_variable has_job_, has_reply_;
  std::deque<Job> jobs_;
  std::vector<Job> done_;  // stepped, not yet answered
  bool is_closed_ = false;
  std::atomic<bool> is_cancelled_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace noregret
