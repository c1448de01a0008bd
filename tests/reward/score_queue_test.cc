#include "noregret/reward/score_queue.h"

#include <gtest/gtest.h>

#include "tests/reward/process_support.h"

namespace noregret {
namespace {

using reward_support::item;
using reward_support::kTestPlugins;
using reward_support::outside_options;

TEST(ScoreQueue, ResultsStandWhereTheirItemsDo) {
  const Rubric rubric({outside_options("plain_c", 60.0, 2)}, kTestPlugins);
  ScoreQueue queue(rubric, 100);
  for (size_t i = 100; i-- > 0;) queue.add(i, item(std::string(i, 'x'), std::string(100, 'x')));
  const std::vector<RubricResult> results = queue.finish();
  ASSERT_EQ(results.size(), 100u);
  for (size_t i = 0; i < results.size(); ++i) EXPECT_EQ(results[i].reward, static_cast<double>(i) / 100);
}

TEST(ScoreQueue, ScoresWhileMoreIsAdded) {
  const Rubric rubric({outside_options("hostile", 60.0, 1)}, kTestPlugins);
  ScoreQueue queue(rubric, 11);
  const Stopwatch watch;
  for (size_t i = 0; i < 10; ++i) {
    queue.add(i, item("sleep"));  // 50 ms each
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  const double added_s = watch.seconds();
  queue.add(10, item("a good one"));
  queue.finish();
  EXPECT_LT(watch.seconds() - added_s, 10 * 0.05);  // what scoring afterwards would take at least
}

TEST(ScoreQueue, TickThatThrowsEndsTheWait) {
  const Rubric rubric({outside_options("hostile", 600.0, 1)}, kTestPlugins);
  ScoreQueue queue(rubric, 1);
  queue.add(0, item("loop"));
  EXPECT_THROW(queue.finish([] { throw InterruptedError("stop"); }), InterruptedError);
}

TEST(ScoreQueue, NothingAddedIsNothingToWaitFor) {
  const Rubric rubric({outside_options("plain_c")}, kTestPlugins);
  EXPECT_TRUE(ScoreQueue(rubric, 0).finish().empty());
}

TEST(RubricWait, TickIsHeardAndMayStop) {
  const Rubric rubric({outside_options("hostile", 600.0, 1)}, kTestPlugins);
  const ScoreItem one = item("loop");
  int num_ticks = 0;
  EXPECT_THROW(rubric.score({&one, 1},
                            [&] {
                              if (++num_ticks == 3) throw InterruptedError("stop");
                            }),
               InterruptedError);
  EXPECT_EQ(num_ticks, 3);
}

}  // namespace
}  // namespace noregret
