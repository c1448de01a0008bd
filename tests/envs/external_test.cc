#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "envs/registry.h"
#include "noregret/base/clock.h"
#include "noregret/base/file.h"
#include "tests/envs/env_support.h"
#include "tests/support/scratch.h"

namespace noregret {
namespace {

using testing::HasSubstr;

// An environment whose episodes count their turns, and do to order what the text says.
constexpr const char* kObedient = R"(
import os, sys, time
from noregret_env import serve

def task(split, index, random, options):
    if index == 66:
        raise ValueError("no such task")
    if index == 67:
        return {"promt": "x"}
    return {"prompt": f"Task {index}", "reference": str(random.randrange(1000)), "metadata": {"split": split}}

class Episode:
    def __init__(self, task, options):
        self.turns = 0

    def step(self, text, is_cut):
        self.turns += 1
        reply = {"score": self.turns / 100, "parts": {"turns": self.turns}, "message": f"{text} {os.getpid()}"}
        if text == "crash": os._exit(3)
        if text == "hang": time.sleep(1000)
        if text == "raise": raise KeyError("oh")
        if text == "nan": reply["score"] = float("nan")
        if text == "text": reply["score"] = "good"
        if text == "noscore": del reply["score"]
        if text == "typo": reply["terminatd"] = True
        if text == "both": reply["messages"] = []
        if text == "reason": reply["stop_reason"] = "bored"
        if text == "won": return {"score": 1, "terminated": True}
        if text == "lost": return {"score": 0, "truncated": True}
        if text == "print": print("hello from the environment")
        return reply

serve(task, Episode, name="obedient", train=100, options={"size": 3})
)";

class ExternalTest : public testing::Test {
 protected:
  std::unique_ptr<TaskSource> make(Json options = Json::object(), const std::string& script = kObedient) {
    options["name"] = "external";
    if (!options.contains("command")) options["plugin"] = dir_.write("env.py", script).string();
    return make_task(Node::from_json(options, Location{"run.yaml", 7, 3}), program_context(1));
  }

  std::string config_error(const Json& options, const std::string& script = kObedient) {
    try {
      (void)make(options, script);
    } catch (const ConfigError& e) {
      return e.what();
    }
    return "no error";
  }

  ScratchDir dir_;
};

TEST_F(ExternalTest, GivesTasksAndPlaysEpisodes) {
  const auto tasks = make();
  EXPECT_EQ(tasks->size(Split::kTrain), 100);
  EXPECT_EQ(tasks->size(Split::kEval), TaskSource::kEndless);
  const Task task = tasks->get(Split::kEval, 4);
  EXPECT_EQ(task.id, "obedient/eval/4");
  EXPECT_EQ(task.messages.at(0).content, "Task 4");
  EXPECT_EQ(task.metadata["split"], "eval");
  const auto episode = tasks->start(task);
  EXPECT_FALSE(episode->step({"on"}).is_over());
  const StepResult second = episode->step({"on"});
  EXPECT_EQ(second.score, 0.02);
  EXPECT_THAT(second.messages.at(0).content, HasSubstr("on "));
  const StepResult last = episode->step({"won"});
  EXPECT_TRUE(last.is_terminated);
  EXPECT_EQ(last.score, 1.0);
  EXPECT_EQ(tasks->start(task)->step({"lost"}).stop_reason, StopReason::kMaxTurns);
}

struct Fault {
  std::string text;
  EnvFault fault;
  std::string says;
};
class ExternalFault : public ExternalTest, public testing::WithParamInterface<Fault> {};

TEST_P(ExternalFault, IsAnErrorAndOtherEpisodesGoOn) {
  const auto tasks = make({{"workers", 1}, {"timeout_s", 1.0}});
  const Task task = tasks->get(Split::kTrain, 0);
  const auto bystander = tasks->start(task);
  (void)bystander->step({"on"});
  (void)bystander->step({"on"});
  const Stopwatch waiting;
  try {
    (void)tasks->start(task)->step({GetParam().text});
    FAIL() << "no error";
  } catch (const EnvError& e) {
    EXPECT_EQ(e.fault, GetParam().fault) << e.what();
    EXPECT_THAT(e.what(), HasSubstr(GetParam().says));
  }
  EXPECT_LT(waiting.seconds(), 5.0);               // the deadline and the end of the process, on a busy machine
  EXPECT_EQ(bystander->step({"on"}).score, 0.03);  // in a new process, where the old one ended
}
INSTANTIATE_TEST_SUITE_P(All, ExternalFault,
                         testing::Values(Fault{"crash", EnvFault::kCrashed, "ended with exit code 3"},
                                         Fault{"hang", EnvFault::kTimeout, "no answer within 1 s"},
                                         Fault{"raise", EnvFault::kFailed, "KeyError: 'oh'"},
                                         Fault{"text", EnvFault::kProtocol, "'score' is a string, want a number"},
                                         Fault{"noscore", EnvFault::kProtocol, "'score' is missing"},
                                         Fault{"typo", EnvFault::kProtocol,
                                               "unknown key 'terminatd'; did you mean 'terminated'?"},
                                         Fault{"both", EnvFault::kProtocol, "message and messages"},
                                         Fault{"reason", EnvFault::kProtocol, "stop_reason is 'bored'"}),
                         [](const auto& info) { return info.param.text; });

TEST_F(ExternalTest, NotANumberIsHandedOnAsSuch) {
  const auto tasks = make();
  EXPECT_TRUE(std::isnan(tasks->start(tasks->get(Split::kTrain, 0))->step({"nan"}).score));
}

TEST_F(ExternalTest, TasksThatFailNameThemselves) {
  const auto tasks = make();
  const auto says = [&](int64_t index) -> std::string {
    try {
      (void)tasks->get(Split::kTrain, index);
    } catch (const DataError& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_THAT(says(66), HasSubstr("task 66 of train: ValueError: no such task"));
  EXPECT_THAT(says(67), HasSubstr("unknown key 'promt'; did you mean 'prompt'?"));
}

TEST_F(ExternalTest, WhatCannotStartIsAConfigError) {
  EXPECT_THAT(config_error({}, "import nothing_of_the_sort"), HasSubstr("it does not start"));
  EXPECT_THAT(config_error({{"options", {{"sise", 4}}}}), HasSubstr("unknown option 'sise'; did you mean 'size'?"));
  EXPECT_THAT(config_error({{"command", {"/no/such/program"}}}), HasSubstr("it does not start"));
  EXPECT_THAT(config_error({{"command", {"python3"}}, {"plugin", "x.py"}}), HasSubstr("wants one of plugin"));
  EXPECT_THAT(config_error({{"tmeout_s", 1}}), HasSubstr("did you mean 'timeout_s'?"));
}

TEST_F(ExternalTest, ACalledOffStepEndsSoon) {
  const auto tasks = make({{"timeout_s", 600}});
  std::atomic<bool> cancel = false;
  const auto episode = tasks->start(tasks->get(Split::kTrain, 0));
  std::thread caller([&] { cancel = true; });
  const Stopwatch waiting;
  EXPECT_THROW((void)episode->step({"hang", false, &cancel}), EnvError);
  caller.join();
  EXPECT_LT(waiting.seconds(), 10.0);
}

TEST_F(ExternalTest, WhatItPrintsIsInTheLog) {
  const auto tasks = make({{"workers", 1}});
  tasks->keep_output(dir_.path() / "log.txt");
  (void)tasks->start(tasks->get(Split::kTrain, 0))->step({"print"});
  (void)tasks->get(Split::kTrain, 1);
  EXPECT_THAT(read_file(dir_.path() / "log.txt"), HasSubstr("env.py prints: hello from the environment"));
}

TEST_F(ExternalTest, DigestFollowsScriptAndOptions) {
  const std::string one = make()->digest();
  EXPECT_EQ(one, make()->digest());
  EXPECT_NE(one, make({{"options", {{"size", 4}}}})->digest());
  EXPECT_NE(one, make({}, cat(kObedient, "# more\n"))->digest());
}

}  // namespace
}  // namespace noregret
