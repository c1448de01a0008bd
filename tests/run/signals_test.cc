#include "noregret/run/signals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "noregret/base/error.h"

namespace noregret {
namespace {

using testing::HasSubstr;

TEST(SignalGuard, WithoutASignalNothingIsAsked) {
  const SignalGuard guard;
  EXPECT_FALSE(guard.is_stop_requested());
  EXPECT_NO_THROW(guard.check());
}

TEST(SignalGuard, RemembersSigtermUntilTheNextCheck) {
  const SignalGuard guard;
  std::raise(SIGTERM);
  EXPECT_TRUE(guard.is_stop_requested());
  try {
    guard.check();
    FAIL() << "no error";
  } catch (const InterruptedError& e) {
    EXPECT_EQ(e.code(), ExitCode::kInterrupted);
    EXPECT_THAT(e.what(), HasSubstr("signal 15"));
  }
}

TEST(SignalGuard, RemembersSigint) {
  const SignalGuard guard;
  std::raise(SIGINT);
  EXPECT_THROW(guard.check(), InterruptedError);
}

TEST(SignalGuard, AFreshOneHasForgottenTheLast) {
  {
    const SignalGuard guard;
    std::raise(SIGTERM);
  }
  EXPECT_FALSE(SignalGuard().is_stop_requested());
}

TEST(SignalGuard, Sigusr1AsksOnceForACheckpointAndStopsNothing) {
  const SignalGuard guard;
  EXPECT_FALSE(guard.take_save_request());
  std::raise(SIGUSR1);
  EXPECT_NO_THROW(guard.check());
  EXPECT_TRUE(guard.take_save_request());
  EXPECT_FALSE(guard.take_save_request());
}

TEST(SignalGuardDeathTest, TheSecondSignalEndsTheProcess) {
  EXPECT_EXIT(
      {
        const SignalGuard guard;
        std::raise(SIGTERM);
        std::raise(SIGTERM);
        std::exit(0);
      },
      testing::KilledBySignal(SIGTERM), testing::_);
}

TEST(SignalGuardDeathTest, OnceAllIsSavedASignalSpoilsNothing) {
  EXPECT_EXIT(
      {
        {
          SignalGuard guard;
          guard.finish();
          std::raise(SIGTERM);
        }
        std::raise(SIGINT);
        std::exit(0);
      },
      testing::ExitedWithCode(0), testing::_);
}

TEST(SignalGuardDeathTest, AfterItsLifeASignalEndsTheProcess) {
  EXPECT_EXIT(
      {
        { const SignalGuard guard; }
        std::raise(SIGINT);
        std::exit(0);
      },
      testing::KilledBySignal(SIGINT), testing::_);
}

}  // namespace
}  // namespace noregret
