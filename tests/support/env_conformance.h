#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "noregret/base/rng.h"
#include "noregret/base/text.h"
#include "noregret/rollout/env.h"
#include "tests/support/odd_texts.h"

// What every task keeps to; tests/envs/conformance_test.cc names the tasks.
namespace noregret {

// A source of the same options for another seed.
using MakeTasks = std::function<std::unique_ptr<TaskSource>(uint64_t seed)>;

struct EnvPromises {
  bool has_demonstrations = true;
  int64_t max_turns = 1;  // after which an episode is over, whatever is said
  // What a policy that solves the task says next; the messages are the whole conversation. Null: the demonstration.
  std::function<std::string(const Task&, const std::vector<Message>&)> right_turn;
  bool is_certain = true;  // right_turn gets full marks, whatever an opponent does
};

namespace conformance {

constexpr int64_t kSample = 100;

inline std::vector<Task> sample(const TaskSource& tasks, Split split, int64_t most = kSample) {
  std::vector<Task> drawn;
  for (int64_t i = 0; i < std::min(tasks.size(split), most); ++i) drawn.push_back(tasks.get(split, i));
  return drawn;
}

inline std::string prompt_of(const Task& task) {
  std::string text;
  for (const Message& message : task.messages) text += cat(message.role, "\n", message.content, "\n");
  return text;
}

// All of the tasks, for comparisons.
inline std::string text_of(const std::vector<Task>& tasks) {
  std::string text;
  for (const Task& task : tasks) {
    text += cat(task.id, "\n", prompt_of(task), task.reference, "\n", dump_json(task.metadata), "\n",
                task.demonstration.value_or("none"), "\n");
  }
  return text;
}

inline void expect_pure(const MakeTasks& make) {
  const auto tasks = make(1);
  const auto again = make(1);
  EXPECT_EQ(tasks->digest(), again->digest());
  for (const Split split : {Split::kTrain, Split::kEval}) {
    const std::string first = text_of(sample(*tasks, split));
    EXPECT_EQ(text_of(sample(*tasks, split)), first);
    EXPECT_EQ(text_of(sample(*again, split)), first);
    std::vector<std::string> by_thread(4);
    std::vector<std::thread> threads;
    for (std::string& text : by_thread) threads.emplace_back([&] { text = text_of(sample(*tasks, split)); });
    for (std::thread& thread : threads) thread.join();
    for (const std::string& text : by_thread) EXPECT_EQ(text, first);
  }
}

inline void expect_bounds(const TaskSource& tasks) {
  for (const Split split : {Split::kTrain, Split::kEval}) {
    EXPECT_ANY_THROW(tasks.get(split, -1));
    if (tasks.size(split) == TaskSource::kEndless) {
      EXPECT_NO_THROW(tasks.get(split, int64_t{1} << 40));
    } else {
      EXPECT_ANY_THROW(tasks.get(split, tasks.size(split)));
    }
  }
}

inline void expect_well_formed(const Task& task, bool has_demonstrations) {
  ASSERT_FALSE(task.messages.empty()) << task.id;
  EXPECT_EQ(task.messages.back().role, "user") << task.id;
  for (const Message& message : task.messages) {
    EXPECT_NE(message.content, "") << task.id;
    EXPECT_TRUE(is_valid_utf8(message.content)) << task.id;
  }
  EXPECT_TRUE(is_valid_utf8(task.reference)) << task.id;
  EXPECT_TRUE(task.metadata.is_object()) << task.id;
  EXPECT_EQ(task.demonstration.has_value(), has_demonstrations) << task.id;
  if (task.demonstration) {
    EXPECT_NE(*task.demonstration, "") << task.id;
    EXPECT_TRUE(is_valid_utf8(*task.demonstration)) << task.id;
  }
}

inline void expect_splits_apart(const TaskSource& tasks, bool has_demonstrations) {
  std::set<std::string> ids;
  std::set<std::string> train;
  for (const Split split : {Split::kTrain, Split::kEval}) {
    for (const Task& task : sample(tasks, split, 5 * kSample)) {
      expect_well_formed(task, has_demonstrations);
      EXPECT_TRUE(ids.insert(task.id).second) << task.id << " is there twice";
      if (split == Split::kTrain) train.insert(prompt_of(task));
      const bool is_shared = split == Split::kEval && train.count(prompt_of(task)) > 0;
      EXPECT_FALSE(is_shared) << task.id << " is trained on as well";
    }
  }
}

inline void expect_seed_counts(const MakeTasks& make) {
  const auto tasks = make(1);
  if (tasks->size(Split::kTrain) != TaskSource::kEndless) return;
  EXPECT_NE(text_of(sample(*tasks, Split::kTrain, 20)), text_of(sample(*make(2), Split::kTrain, 20)));
}

// One step of an episode, checked.
inline StepResult checked_step(Episode& episode, const Turn& turn) {
  StepResult result = episode.step(turn);
  EXPECT_GE(result.score, 0.0);
  EXPECT_LE(result.score, 1.0);
  for (const auto& [name, value] : result.parts) EXPECT_TRUE(std::isfinite(value)) << name;
  EXPECT_FALSE(result.is_terminated && result.is_truncated);
  EXPECT_EQ(result.messages.empty(), result.is_over());
  EXPECT_TRUE(result.is_over() || !turn.is_cut) << "a cut turn is the last one";
  return result;
}

using NextTurn = std::function<std::string(const Task&, const std::vector<Message>&)>;

// Plays an episode to its end; the last result.
inline StepResult play(const TaskSource& tasks, const Task& task, const EnvPromises& promises, const NextTurn& say) {
  const auto episode = tasks.start(task);
  std::vector<Message> conversation = task.messages;
  StepResult result;
  for (int64_t turn = 0; turn < promises.max_turns && !result.is_over(); ++turn) {
    const std::string said = say(task, conversation);
    result = checked_step(*episode, {said, false});
    conversation.push_back({"assistant", said});
    conversation.insert(conversation.end(), result.messages.begin(), result.messages.end());
  }
  EXPECT_TRUE(result.is_over()) << task.id << " goes on after " << promises.max_turns << " turns";
  return result;
}

inline std::vector<std::string> garbage(const Task& task) {
  std::vector<std::string> texts = odd_texts();
  Rng rng = Rng::stream(1, Purpose::kTask, {});
  for (int i = 0; i < 20; ++i) {
    std::string& text = texts.emplace_back();
    while (text.size() < 64) text += static_cast<char>(rng.below(256));
  }
  texts.push_back(std::string(100'000, '('));
  texts.push_back("#### " + std::string(100'000, '1'));
  for (const char* begin : {"", "#### ", "\\boxed{"}) texts.push_back(begin + task.messages.back().content);
  return texts;
}

inline void expect_episodes(const TaskSource& tasks, const EnvPromises& promises) {
  const NextTurn right = promises.right_turn ? promises.right_turn : [](const Task& task, const std::vector<Message>&) {
    return task.demonstration.value_or("#### " + task.reference);
  };
  for (const Task& task : sample(tasks, Split::kTrain)) {
    const StepResult result = play(tasks, task, promises, right);
    EXPECT_TRUE(result.is_terminated) << task.id;
    if (promises.is_certain) {
      EXPECT_EQ(result.score, 1.0) << prompt_of(task) << right(task, task.messages);
    }
  }
  for (const Task& task : sample(tasks, Split::kTrain, 3)) {
    for (const std::string& text : garbage(task)) {
      const StepResult result =
          play(tasks, task, promises, [&](const Task&, const std::vector<Message>&) { return text; });
      EXPECT_LT(result.score, 1.0) << task.id << ": " << quoted(text);
      checked_step(*tasks.start(task), {text, true});
    }
    checked_step(*tasks.start(task), {right(task, task.messages), true});
  }
}

}  // namespace conformance

inline void expect_env_conforms(const MakeTasks& make, const EnvPromises& promises = {}) {
  conformance::expect_pure(make);
  conformance::expect_seed_counts(make);
  const auto tasks = make(1);
  ASSERT_GT(tasks->size(Split::kTrain), 0);
  conformance::expect_bounds(*tasks);
  conformance::expect_splits_apart(*tasks, promises.has_demonstrations);
  const bool has_episodes = tasks->start(tasks->get(Split::kTrain, 0)) != nullptr;
  if (has_episodes) conformance::expect_episodes(*tasks, promises);
}

}  // namespace noregret
