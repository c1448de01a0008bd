#include "noregret/run/checkpoint.h"

#include <ATen/core/grad_mode.h>

#include "noregret/base/error.h"
#include "tests/run/run_support.h"

namespace noregret {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class CheckpointTest : public RunTest {
 protected:
  RunConfig config(bool has_adapter) const {
    RunConfig config = sft_config(model_dir());
    if (!has_adapter) config.adapter.reset();
    return config;
  }
  static std::vector<NamedTensor> parameters_of(Policy& policy) {
    return policy.adapter ? policy.adapter->parameters() : policy.model.parameters();
  }
  // A policy and an optimizer that are not at their start any more.
  struct Trained {
    Policy policy;
    std::unique_ptr<Adam> optimizer;
  };
  static Trained start(const RunConfig& config) {
    Policy policy = load_policy(config, at::kCPU);
    auto optimizer = std::make_unique<Adam>(parameters_of(policy), config.optimizer, 0.01);
    return {std::move(policy), std::move(optimizer)};
  }
  static Trained trained(const RunConfig& config) {
    Trained result = start(config);
    for (const auto& [name, tensor] : parameters_of(result.policy)) {
      tensor.set_requires_grad(true);
      tensor.mutable_grad() = tensor.detach().add(0.5);
    }
    EXPECT_TRUE(result.optimizer->step());
    return result;
  }
  void write(const RunConfig& config, const Trained& trained) const {
    for (const NamedBytes& file : checkpoint_files(config, trained.policy, *trained.optimizer))
      dir_.write(file.name, file.bytes);
  }
};

std::vector<std::string> names_of(const std::vector<NamedBytes>& files) {
  std::vector<std::string> names;
  for (const NamedBytes& file : files) names.push_back(file.name);
  return names;
}

TEST_F(CheckpointTest, OfAnAdapterIsAPeftFolderAndTheMoments) {
  const Trained state = trained(config(true));
  EXPECT_THAT(names_of(checkpoint_files(config(true), state.policy, *state.optimizer)),
              ElementsAre("adapter_model.safetensors", "adapter_config.json", "optimizer.safetensors"));
}

TEST_F(CheckpointTest, OfAllWeightsIsAModelFolderAndTheMoments) {
  const Trained state = trained(config(false));
  EXPECT_THAT(names_of(checkpoint_files(config(false), state.policy, *state.optimizer)),
              ElementsAre("model.safetensors", "config.json", "generation_config.json", "tokenizer.json",
                          "tokenizer_config.json", "optimizer.safetensors"));
  write(config(false), state);
  EXPECT_EQ(CausalLm::load(dir_.path(), at::kCPU).digest(), state.policy.digest());
  EXPECT_EQ(Tokenizer::load(dir_.path()).vocab_size(), 258);
}

TEST_F(CheckpointTest, ComesBackBitForBit) {
  for (const bool has_adapter : {true, false}) {
    const Trained saved = trained(config(has_adapter));
    write(config(has_adapter), saved);
    Trained other = start(config(has_adapter));
    EXPECT_NE(other.policy.digest(), saved.policy.digest());
    restore_checkpoint(dir_.path(), other.policy, *other.optimizer);
    EXPECT_EQ(other.policy.digest(), saved.policy.digest());
    EXPECT_EQ(tensors_to_bytes(other.optimizer->state()), tensors_to_bytes(saved.optimizer->state()));
  }
}

TEST_F(CheckpointTest, TheAdapterConfigNamesTheBase) {
  const Trained state = trained(config(true));
  write(config(true), state);
  const Json json = parse_json(text_of(dir_.path() / "adapter_config.json"), "adapter_config.json");
  EXPECT_EQ(json["base_model_name_or_path"], model_dir().string());
  EXPECT_EQ(json["r"], 2);
}

TEST_F(CheckpointTest, AnotherRankIsRefused) {
  write(config(true), trained(config(true)));
  RunConfig wider = config(true);
  wider.adapter->rank = 4;
  Trained other = start(wider);
  const std::string before = other.policy.digest();
  EXPECT_THAT(message_of<DataError>([&] { restore_checkpoint(dir_.path(), other.policy, *other.optimizer); }),
              HasSubstr("adapter_model.safetensors"));
  EXPECT_EQ(other.policy.digest(), before);
}

TEST_F(CheckpointTest, MissingMomentsAreRefused) {
  write(config(true), trained(config(true)));
  fs::remove(dir_.path() / "optimizer.safetensors");
  Trained other = start(config(true));
  EXPECT_THAT(message_of<DataError>([&] { restore_checkpoint(dir_.path(), other.policy, *other.optimizer); }),
              HasSubstr("optimizer.safetensors"));
}

TEST_F(CheckpointTest, OnlyTokenizerFilesThatAreThereAreTaken) {
  dir_.write("tokenizer.json", "{}");
  dir_.write("chat_template.jinja", "x");
  dir_.write("other.json", "{}");
  EXPECT_THAT(names_of(tokenizer_files(dir_.path())), ElementsAre("tokenizer.json", "chat_template.jinja"));
}

// --- What load_policy makes of folders

TEST_F(CheckpointTest, ARunACheckpointAndAnAdapterFolderAreArtefacts) {
  train(config(true), run_dir("run"), letters());
  const fs::path checkpoint = newest_checkpoint(run_dir("run"));
  EXPECT_EQ(checkpoint, run_dir("run") / "checkpoints/step_000006");
  const Policy of_run = load_policy_from(model_dir(), run_dir("run"), at::kCPU);
  const Policy of_checkpoint = load_policy_from(model_dir(), checkpoint, at::kCPU);
  EXPECT_EQ(of_run.digest(), of_checkpoint.digest());
  EXPECT_NE(of_run.digest(), load_policy_from(model_dir(), "", at::kCPU).digest());
}

TEST_F(CheckpointTest, ARunOfAllWeightsIsAnArtefact) {
  train(config(false), run_dir("run"), letters());
  const Policy policy = load_policy_from(model_dir(), run_dir("run"), at::kCPU);
  EXPECT_FALSE(policy.adapter);
  EXPECT_NE(policy.digest(), load_policy_from(model_dir(), "", at::kCPU).digest());
}

TEST_F(CheckpointTest, AFolderWithoutWeightsIsNone) {
  EXPECT_THAT(message_of<DataError>([&] { resolve_artefact(dir_.path()); }), HasSubstr("holds neither"));
  EXPECT_THAT(message_of<DataError>([&] { resolve_artefact(dir_.path() / "no"); }), HasSubstr("no such folder"));
}

TEST_F(CheckpointTest, InsteadOfADamagedCheckpointTheOlderOneIsTakenAndTold) {
  train(config(true), run_dir("run"), letters());
  const fs::path damaged = newest_checkpoint(run_dir("run"));
  fs::resize_file(damaged / "adapter_model.safetensors", 50);
  const Artefact artefact = resolve_artefact(run_dir("run"));
  EXPECT_EQ(artefact.folder.filename(), "step_000000");
  EXPECT_EQ(std::count(artefact.warning.begin(), artefact.warning.end(), '\n'), 0);
  EXPECT_THAT(artefact.warning,
              testing::AllOf(testing::StartsWith((damaged / "adapter_model.safetensors: 50 bytes").string()),
                             testing::EndsWith("; taking " + artefact.folder.string())));
  EXPECT_EQ(load_policy_from(model_dir(), run_dir("run"), at::kCPU).warning, artefact.warning);
  RunConfig next = config(true);
  next.adapter->init_from = run_dir("run").string();
  EXPECT_EQ(load_policy(next, at::kCPU).warning, artefact.warning);
}

TEST_F(CheckpointTest, ADamagedCheckpointThatIsNamedItselfIsNone) {
  train(config(true), run_dir("run"), letters());
  const fs::path damaged = newest_checkpoint(run_dir("run"));
  fs::resize_file(damaged / "adapter_model.safetensors", 50);
  EXPECT_THAT(message_of<DataError>([&] { resolve_artefact(damaged); }), HasSubstr("adapter_model.safetensors"));
  fs::resize_file(run_dir("run") / "checkpoints/step_000000/state.json", 5);
  EXPECT_THAT(message_of<DataError>([&] { resolve_artefact(run_dir("run")); }),
              HasSubstr("none of its 2 checkpoints is whole; the newest: "));
}

TEST_F(CheckpointTest, AStartAdapterOfAnotherRankIsRefused) {
  train(config(true), run_dir("run"), letters());
  RunConfig next = config(true);
  next.adapter->init_from = run_dir("run").string();
  EXPECT_EQ(load_policy(next, at::kCPU).digest(), load_policy_from(model_dir(), run_dir("run"), at::kCPU).digest());
  next.adapter->rank = 3;
  EXPECT_THAT(message_of<ConfigError>([&] { load_policy(next, at::kCPU); }),
              HasSubstr("adapter.rank is 3, the adapter in "));
}

TEST_F(CheckpointTest, RandomWeightsAreAFunctionOfTheSeed) {
  RunConfig random = config(false);
  random.model.init = "random";
  const std::string first = load_policy(random, at::kCPU).digest();
  EXPECT_EQ(load_policy(random, at::kCPU).digest(), first);
  random.seed = 2;
  EXPECT_NE(load_policy(random, at::kCPU).digest(), first);
}

}  // namespace
}  // namespace noregret
