#include "noregret/run/watchdog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <vector>

namespace noregret {
namespace {

constexpr auto kSoon = std::chrono::seconds(20);  // far more than any wait here takes

struct Stall {
  std::string phase;
  double seconds;
  bool is_over;
};

TEST(Watchdog, NamesThePhaseThatStallsAndThenSaysThatItIsOver) {
  std::promise<Stall> first, second;
  Watchdog watchdog(0.01, [&](const std::string& phase, double seconds, bool is_over) {
    (is_over ? second : first).set_value({phase, seconds, is_over});
  });
  watchdog.beat("step 4 rollout: scoring 12/64");
  std::future<Stall> told = first.get_future(), over = second.get_future();
  ASSERT_EQ(told.wait_for(kSoon), std::future_status::ready);
  const Stall stall = told.get();
  EXPECT_GE(stall.seconds, 0.01);
  ASSERT_EQ(over.wait_for(kSoon), std::future_status::ready);
  const Stall end = over.get();
  EXPECT_EQ(end.phase, "step 4 rollout: scoring 12/64");
  EXPECT_GE(end.seconds, 0.02);
}

TEST(Watchdog, TheSamePhaseAgainIsNoProgress) {
  std::promise<void> over;
  std::future<void> is_over = over.get_future();
  Watchdog watchdog(0.02, [&](const std::string&, double, bool end) {
    if (end) over.set_value();
  });
  const auto end = std::chrono::steady_clock::now() + kSoon;
  while (std::chrono::steady_clock::now() < end &&
         is_over.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
    watchdog.beat("scoring 0/8");
  EXPECT_EQ(is_over.wait_for(std::chrono::seconds(0)), std::future_status::ready);
}

TEST(Watchdog, ProgressIsNoStall) {
  bool is_told = false;
  Watchdog watchdog(1.0, [&](const std::string&, double, bool) { is_told = true; });
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1300);
  for (int i = 0; std::chrono::steady_clock::now() < end; ++i) watchdog.beat("token " + std::to_string(i));
  EXPECT_FALSE(is_told);
}

}  // namespace
}  // namespace noregret
