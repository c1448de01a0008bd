#include "noregret/config/run_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "noregret/base/file.h"
#include "noregret/config/yaml.h"
#include "tests/support/scratch.h"

namespace noregret {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr const char* kRl = "model: {path: base}\ntask: {name: word_problems}\nrewards: [{plugin: gsm8k_answer}]\n";
constexpr const char* kSft = "mode: sft\nmodel: {path: base}\ndata: {path: rows.jsonl}\n";

RunConfig read(const std::string& text) { return read_run_config(parse_yaml(text, "c.yaml")); }

std::string error_in(const std::string& text) {
  return message_of<ConfigError>([&] { read(text); });
}

RunConfig load(const std::string& text, const std::vector<std::string>& assignments, const ScratchDir& dir) {
  return load_run_config(dir.write("conf/c.yaml", text), assignments);
}

// --- What is read

TEST(ReadRunConfig, FillsInDefaults) {
  const RunConfig config = read(kRl);
  EXPECT_EQ(config.mode, "rl");
  EXPECT_EQ(config.seed, 1u);
  ASSERT_TRUE(config.adapter);
  EXPECT_EQ(config.adapter->rank, 8);
  EXPECT_EQ(config.adapter->alpha, 32.0);
  EXPECT_THAT(config.adapter->targets, ElementsAre("all"));
  EXPECT_EQ(config.optimizer.lr, "auto");
  EXPECT_THAT(config.optimizer.betas, ElementsAre(0.9, 0.95));
  EXPECT_EQ(config.objective.name, "is");
  EXPECT_EQ(config.rewards.at(0).weight, 1.0);
}

TEST(ReadRunConfig, SftMinimizesCrossEntropy) { EXPECT_EQ(read(kSft).objective.name, "cross_entropy"); }

TEST(ReadRunConfig, AdapterNoneIsFullFineTuning) {
  EXPECT_FALSE(read(std::string(kRl) + "adapter: none\n").adapter);
  EXPECT_TRUE(read(std::string(kRl) + "adapter:\n").adapter);  // an empty map: the defaults
}

TEST(ReadRunConfig, TheTaskKeepsItsOwnKeys) {
  EXPECT_EQ(read(std::string(kSft) + "task: {name: x, deep: {a: [1, '2']}}\n").task.to_json().dump(),
            R"({"name":"x","deep":{"a":[1,"2"]}})");
}

TEST(ReadRunConfig, ANumberIsWelcomeWhereTextIsWanted) {
  EXPECT_EQ(read(std::string(kRl) + "optimizer: {lr: 3e-4}\n").optimizer.lr, "3e-4");
  EXPECT_EQ(read("model: {path: 2025}\n" + std::string(kRl).substr(20)).model.path, "2025");
}

// --- Wrong keys and values

TEST(ReadRunConfig, AnUnknownKeyIsNamedWithItsPlaceAndTheNearest) {
  EXPECT_THAT(error_in(std::string(kRl) + "objective:\n  name: ppo\n  clip_epz: 0.1\n"),
              StartsWith("c.yaml:6:3: unknown key 'objective.clip_epz'; did you mean 'clip_eps'?"));
  EXPECT_THAT(error_in(std::string(kRl) + "rollout: {group: 8}\n"), HasSubstr("did you mean 'groups'?"));
  EXPECT_THAT(error_in(std::string(kRl) + "optimiser:\n  lr: 1e-3\n"),
              StartsWith("c.yaml:4:1: unknown key 'optimiser'; did you mean 'optimizer'?"));
  EXPECT_THAT(error_in("model: {path: b}\nrewards:\n  - plugin: a\n    wait: 1\n"),
              StartsWith("c.yaml:4:5: unknown key 'rewards[0].wait'"));
  EXPECT_THAT(error_in(std::string(kRl) + "<<: {seed: 2}\n"), StartsWith("c.yaml:4:1: unknown key '<<'"));
}

TEST(ReadRunConfig, EveryWrongTypeIsRefusedAtItsPlace) {
  for (const std::string line : {"seed: -1",
                                 "seed: 1.5",
                                 "seed: x",
                                 "seed: '1'",
                                 "seed: [1]",
                                 "seed:",
                                 "seed: 18446744073709551616",
                                 "threads: 1e2",
                                 "mode: [rl]",
                                 "mode: {a: b}",
                                 "device:",
                                 "adapter: 8",
                                 "adapter: lora",
                                 "adapter: [1]",
                                 "adapter: {rank: 8.5}",
                                 "adapter: {rank: eight}",
                                 "adapter: {rank: 0x8}",
                                 "adapter: {rank: 010}",
                                 "adapter: {alpha: big}",
                                 "adapter: {alpha: .inf}",
                                 "adapter: {alpha: 1e400}",
                                 "adapter: {targets: all}",
                                 "adapter: {targets: [[all]]}",
                                 "optimizer: {betas: 0.9}",
                                 "optimizer: {betas: [0.9, x]}",
                                 "optimizer: 3e-4",
                                 "rewards: a",
                                 "rewards: [a]",
                                 "rewards: {plugin: a}",
                                 "model: base",
                                 "train: {gradient_checkpointing: yes}",
                                 "train: {gradient_checkpointing: 1}",
                                 "log: {tensorboard: 'true'}",
                                 "log: []",
                                 "eval: {greedy: True}",
                                 "train: {steps: none}",
                                 "train: {steps: 9223372036854775808}",
                                 "train: {steps: 1_000}"}) {
    EXPECT_THAT(error_in(line + "\n"), StartsWith("c.yaml:1:")) << line;
  }
}

TEST(ReadRunConfig, EveryValueOutOfRangeIsRefusedAtItsPlace) {
  for (const std::string line : {"mode: dpo",
                                 "device: gpu",
                                 "threads: -1",
                                 "threads: 2000",
                                 "model: {init: fresh}",
                                 "model: {init_std: 0}",
                                 "adapter: {method: dora}",
                                 "adapter: {rank: 0}",
                                 "adapter: {alpha: 0}",
                                 "adapter: {alpha: -1}",
                                 "data: {batch_size: 0}",
                                 "data: {too_long: cut}",
                                 "rollout: {groups: 0}",
                                 "rollout: {group_size: 1}",
                                 "rollout: {max_new_tokens: 0}",
                                 "rollout: {temperature: 0}",
                                 "rollout: {max_batch: -1}",
                                 "rollout: {truncated: drop}",
                                 "rewards: [{plugin: a, weight: 1e7}]",
                                 "objective: {name: grpo}",
                                 "objective: {advantage: mean}",
                                 "objective: {clip_eps: 1.5}",
                                 "objective: {clip_eps: -0.1}",
                                 "objective: {kl_coef: -1}",
                                 "objective: {aggregation: sum}",
                                 "optimizer: {betas: [0.9, 1.1]}",
                                 "optimizer: {eps: 0}",
                                 "optimizer: {weight_decay: -0.1}",
                                 "optimizer: {max_grad_norm: -1}",
                                 "train: {steps: -1}",
                                 "train: {updates_per_batch: 0}",
                                 "train: {microbatch_tokens: 0}",
                                 "train: {head_chunk_tokens: -1}",
                                 "train: {max_skipped_updates: 0}",
                                 "train: {save_every: -1}",
                                 "train: {keep_last: 0}",
                                 "eval: {every: -1}",
                                 "eval: {limit: 0}",
                                 "eval: {samples: -1}",
                                 "eval: {temperature: 0}",
                                 "log: {samples_every: -1}",
                                 "log: {num_samples: 0}",
                                 "log: {rollouts_every: -1}"}) {
    EXPECT_THAT(error_in(line + "\n"), StartsWith("c.yaml:1:")) << line;
    EXPECT_THAT(error_in(line + "\n"), HasSubstr("want ")) << line;
  }
}

TEST(ReadRunConfig, ARootThatIsNoMapIsRefused) {
  EXPECT_THAT(error_in("just text"), StartsWith("c.yaml:1:1: the value is 'just text', want a map"));
  EXPECT_THAT(error_in("[1]"), HasSubstr("want a map"));
  EXPECT_THAT(error_in(""), StartsWith("c.yaml: model.path is missing"));
}

TEST(ReadRunConfig, TheLearningRateIsAutoOrAboveZero) {
  for (const std::string lr : {"0", "-1e-3", "fast", "''", "1e400", "0x1", ".inf"}) {
    EXPECT_THAT(error_in(std::string(kRl) + "optimizer:\n  lr: " + lr + "\n"),
                AllOf(StartsWith("c.yaml:5:3: optimizer.lr is '"), HasSubstr("want auto or a number above 0")))
        << lr;
  }
  EXPECT_EQ(read(std::string(kRl) + "optimizer: {lr: '1e-3'}\n").optimizer.lr, "1e-3");
}

// --- What no single field can check

TEST(ReadRunConfig, RlNeedsATask) {
  EXPECT_EQ(error_in("model: {path: b}\nrewards: [{plugin: a}]\n"),
            "c.yaml:1:1: mode: rl needs a task; add task: {name: gsm8k, path: ...}");
  EXPECT_THAT(error_in("model: {path: b}\nrewards: [{plugin: a}]\ntask: gsm8k\n"),
              StartsWith("c.yaml:3:1: mode: rl needs a task"));
}

TEST(ReadRunConfig, RewardKeysThatDoNotGoTogetherAreRefused) {
  const std::string head = "model: {path: b}\ntask: {name: x}\nrewards:\n  - plugin: a\n  - ";
  EXPECT_EQ(error_in(head + "weight: 1\n"),
            "c.yaml:5:5: rewards[1]: a reward has no plugin; name one, as in {plugin: exact_match}");
  EXPECT_THAT(error_in(head + "{plugin: a, command: [b]}\n"), HasSubstr("rewards[1]: plugin and command are both"));
  EXPECT_THAT(error_in(head + "{plugin: a.py, isolation: none}\n"), HasSubstr("is for shared libraries"));
  EXPECT_THAT(error_in(head + "{command: [b], isolation: none}\n"), HasSubstr("is for shared libraries"));
  EXPECT_THAT(error_in(head + "{plugin: 'http://a', range: [1]}\n"), HasSubstr("range wants two numbers"));
  EXPECT_THAT(error_in(head + "{plugin: 'http://a', range: [1, 0]}\n"), HasSubstr("range wants two numbers"));
  EXPECT_THAT(error_in(head + "{plugin: a, isolation: docker}\n"), HasSubstr("want one of process, none"));
  EXPECT_THAT(error_in(head + "{plugin: a, timeout_s: 0}\n"), HasSubstr("rewards[1].timeout_s"));
  EXPECT_THAT(error_in(head + "{plugin: a, timeout: 5}\n"), HasSubstr("did you mean 'timeout_s'?"));
  EXPECT_THAT(error_in(head + "{plugin: a, workers: 65}\n"), HasSubstr("0 to 64"));
}

TEST(ReadRunConfig, ShareOfFailedRewardsIsAShare) {
  EXPECT_EQ(read(kRl).rollout.max_failed, 0.2);
  EXPECT_EQ(read(kRl).rollout.failed_steps, 50);
  EXPECT_THAT(error_in(std::string(kRl) + "rollout: {max_failed: 20}\n"), HasSubstr("0 to 1"));
}

TEST(ReadRunConfig, RlNeedsRewards) {
  EXPECT_THAT(error_in("model: {path: b}\ntask: {name: x}\n"), HasSubstr("mode: rl needs rewards; add rewards:"));
  EXPECT_THAT(error_in("model: {path: b}\ntask: {name: x}\nrewards: []\n"),
              StartsWith("c.yaml:3:1: mode: rl needs rewards"));
}

TEST(ReadRunConfig, RlRefusesCrossEntropy) {
  EXPECT_THAT(error_in(std::string(kRl) + "objective:\n  name: cross_entropy\n"),
              StartsWith("c.yaml:5:3: objective.name is cross_entropy, want is or ppo"));
}

TEST(ReadRunConfig, TheUnclippedRatioIsForOneUpdateABatch) {
  EXPECT_THAT(error_in(std::string(kRl) + "train: {updates_per_batch: 2}\n"), HasSubstr("wants objective.name: ppo"));
  EXPECT_EQ(read(std::string(kRl) + "train: {updates_per_batch: 2}\nobjective: {name: ppo}\n").train.updates_per_batch,
            2);
}

TEST(ReadRunConfig, SftNeedsDataOrATask) {
  EXPECT_THAT(error_in("mode: sft\nmodel: {path: b}\n"),
              HasSubstr("mode: sft needs data.path, or a task with demonstrations"));
  EXPECT_EQ(read("mode: sft\nmodel: {path: b}\ntask: {name: x}\n").mode, "sft");
}

TEST(ReadRunConfig, SftRefusesAPolicyGradient) {
  EXPECT_THAT(error_in(std::string(kSft) + "objective: {name: ppo}\n"), HasSubstr("want cross_entropy in mode: sft"));
  EXPECT_EQ(read(std::string(kSft) + "objective: {name: cross_entropy}\n").objective.name, "cross_entropy");
  EXPECT_EQ(read(std::string(kSft) + "objective: {clip_eps: 0.1}\n").objective.name, "cross_entropy");
}

TEST(ReadRunConfig, AModelPathIsWanted) {
  EXPECT_THAT(error_in("task: {name: x}\n"), HasSubstr("model.path is missing"));
  EXPECT_THAT(error_in("seed: 1\nmodel: {init: random}\n"), StartsWith("c.yaml:2:1: model.path is missing"));
}

TEST(ReadRunConfig, TwoBetasBelowOne) {
  EXPECT_THAT(error_in(std::string(kRl) + "optimizer: {betas: [0.9]}\n"),
              HasSubstr("optimizer.betas has 1 values, want 2"));
  EXPECT_THAT(error_in(std::string(kRl) + "optimizer: {betas: []}\n"),
              HasSubstr("optimizer.betas has 0 values, want 2"));
  EXPECT_THAT(error_in(std::string(kRl) + "optimizer: {betas: [0.9, 1]}\n"),
              HasSubstr("optimizer.betas must be below 1"));
}

TEST(ReadRunConfig, RandomWeightsTakeNoAdapter) {
  EXPECT_THAT(error_in("model: {path: b, init: random}\ntask: {name: x}\nrewards: [{plugin: a}]\n"),
              HasSubstr("model.init: random wants adapter: none"));
}

TEST(ReadRunConfig, KlNeedsASecondCopy) {
  EXPECT_THAT(error_in(std::string(kRl) + "adapter: none\nobjective: {kl_coef: 0.1}\n"),
              HasSubstr("objective.kl_coef > 0 wants an adapter"));
}

// --- Files, paths and assignments

TEST(LoadRunConfig, PathsAreRelativeToTheFile) {
  const ScratchDir dir;
  const RunConfig config = load(
      "model: {path: ../base/}\nadapter: {init_from: sub/../start}\n"
      "task: {name: gsm8k, path: data/a.jsonl, eval_path: /abs/b.jsonl}\ndata: {path: ./rows.jsonl}\n"
      "rewards: [{plugin: ./libmine.so, options: {word_path: w.txt}}, {plugin: exact_match}]\n",
      {}, dir);
  const std::string base = dir.path().string();
  EXPECT_EQ(config.model.path, base + "/base/");
  EXPECT_EQ(config.adapter->init_from, base + "/conf/start");
  EXPECT_EQ(config.task.find("path")->scalar, base + "/conf/data/a.jsonl");
  EXPECT_EQ(config.task.find("eval_path")->scalar, "/abs/b.jsonl");
  EXPECT_EQ(config.task.find("name")->scalar, "gsm8k");
  EXPECT_EQ(config.data.path, base + "/conf/rows.jsonl");
  EXPECT_EQ(config.rewards[0].plugin, base + "/conf/libmine.so");
  EXPECT_EQ(config.rewards[0].options.find("word_path")->scalar, base + "/conf/w.txt");
  EXPECT_EQ(config.rewards[1].plugin, "exact_match");
}

TEST(LoadRunConfig, RewardsOutsideAreFoundBesideTheFile) {
  const ScratchDir dir;
  const RunConfig config = load(
      "model: {path: b}\ntask: {name: x}\nrewards: [{plugin: mine.py}, {plugin: ../x/it.py}, {command: [node, ./a.js, "
      "a/b]}, {plugin: 'http://judge/score/x.py'}]\n",
      {}, dir);
  const std::string base = dir.path().string();
  EXPECT_EQ(config.rewards[0].plugin, base + "/conf/mine.py");
  EXPECT_EQ(config.rewards[1].plugin, base + "/x/it.py");
  EXPECT_THAT(config.rewards[2].command, ElementsAre("node", base + "/conf/a.js", "a/b"));
  EXPECT_EQ(config.rewards[3].plugin, "http://judge/score/x.py");
}

TEST(LoadRunConfig, EmptyPathsStayEmpty) {
  const ScratchDir dir;
  EXPECT_EQ(load(std::string(kRl) + "data: {path: ''}\nadapter: {init_from: ''}\n", {}, dir).data.path, "");
}

TEST(LoadRunConfig, PathsInAssignmentsAreRelativeToTheWorkingDirectory) {
  const ScratchDir dir;
  const RunConfig config =
      load(kRl, {"model.path=other", "task={name: gsm8k, path: x/../d.jsonl}", "rewards[0].plugin=./a.so"}, dir);
  const std::string here = fs::current_path().string();
  EXPECT_EQ(config.model.path, here + "/other");
  EXPECT_EQ(config.task.find("path")->scalar, here + "/d.jsonl");
  EXPECT_EQ(config.rewards[0].plugin, here + "/a.so");
}

TEST(LoadRunConfig, ARelativeFileNameIsFoundFromTheWorkingDirectory) {
  const ScratchDir dir;
  const fs::path file = dir.write("c.yaml", kRl);
  const RunConfig config = load_run_config(fs::relative(file), {});
  EXPECT_EQ(fs::path(config.model.path), fs::weakly_canonical(dir.path() / "base"));
}

TEST(LoadRunConfig, AssignmentsChangeKeysInOrder) {
  const ScratchDir dir;
  const RunConfig config =
      load(std::string(kRl) + "adapter: none\n",
           {"seed=3", "seed=4", "adapter.rank=1", "optimizer.betas=[0.8, 0.9]", "rewards[0].weight=0"}, dir);
  EXPECT_EQ(config.seed, 4u);
  EXPECT_EQ(config.adapter->rank, 1);
  EXPECT_EQ(config.adapter->alpha, 32.0);
  EXPECT_THAT(config.optimizer.betas, ElementsAre(0.8, 0.9));
  EXPECT_EQ(config.rewards[0].weight, 0.0);
  EXPECT_FALSE(load(kRl, {"adapter=none"}, dir).adapter);
}

TEST(LoadRunConfig, AWrongAssignmentIsNamed) {
  const ScratchDir dir;
  const auto error = [&](const std::string& assignment) {
    return message_of<ConfigError>([&] { load(kRl, {assignment}, dir); });
  };
  EXPECT_THAT(error("rollout.grups=1"),
              StartsWith("--set rollout.grups=1: unknown key 'rollout.grups'; did you mean 'groups'?"));
  EXPECT_THAT(error("train.steps=-1"), StartsWith("--set train.steps=-1: train.steps is -1, want at least 0"));
  EXPECT_THAT(error("train.steps=many"), StartsWith("--set train.steps=many: train.steps is 'many', want an integer"));
  EXPECT_THAT(error("rewards=[]"), StartsWith("--set rewards=[]: mode: rl needs rewards"));
  EXPECT_THAT(error("seed"), StartsWith("--set seed: want key=value"));
}

TEST(LoadRunConfig, AMissingFileIsNamed) {
  EXPECT_THAT(message_of<ConfigError>([] { load_run_config("no/such.yaml", {}); }),
              StartsWith("no/such.yaml: no such file"));
}

TEST(LoadRunConfig, ReadsEveryConfigOfTheRepository) {
  const fs::path folder = fs::path(NOREGRET_SOURCE_DIR) / "configs";
  int num_configs = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".yaml") continue;
    ++num_configs;
    const RunConfig config = load_run_config(entry.path(), {});
    EXPECT_TRUE(fs::path(config.model.path).is_absolute()) << entry.path();
    EXPECT_THAT(differing_keys(write_fields(config),
                               write_fields(read_run_config(parse_yaml(to_yaml(write_fields(config)), "r")))),
                IsEmpty())
        << entry.path();
  }
  EXPECT_GE(num_configs, 4);
}

}  // namespace
}  // namespace noregret
