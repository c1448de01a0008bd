#include "noregret/run/experiment.h"

#include <unistd.h>

#include "envs/registry.h"
#include "noregret/base/file.h"
#include "noregret/base/text.h"
#include "noregret/tensor/device.h"
#include "run/checkpoint_store.h"

namespace noregret {
namespace {

bool holds_weights(const fs::path& dir) {
  return fs::exists(dir / "adapter_model.safetensors") || fs::exists(dir / "model.safetensors") ||
         fs::exists(dir / "model.safetensors.index.json");
}

// The config says what is trained; an adapter that is another one must not slip in.
void check_same_shape(const AdapterOptions& options, const PeftConfig& loaded) {
  const auto refuse = [&](const char* key, const std::string& want, const std::string& is) {
    throw ConfigError(cat("adapter.", key, " is ", want, ", the adapter in ", options.init_from, " has ", is,
                          "; set adapter.", key, ": ", is, " or start from another adapter"));
  };
  if (options.rank != loaded.rank) refuse("rank", cat(options.rank), cat(loaded.rank));
  if (options.alpha != loaded.alpha) refuse("alpha", cat(options.alpha), cat(loaded.alpha));
}

EnvContext env_context(const RunConfig& config, const RewardHost& host) {
  return EnvContext{.seed = config.seed,
                    .worker = host.worker,
                    .python_dir = fs::absolute(host.plugin_dir) / "python",
                    .search_path = host.search_path,
                    .wants_namespace = host.wants_namespace,
                    .user_id = cat(geteuid()),
                    .group_id = cat(getegid())};
}

}  // namespace

Inputs load_inputs(const RunConfig& config, const RewardHost& host) {
  HfConfig hf = read_hf_config(config.model.path);
  Tokenizer tokenizer = Tokenizer::load(config.model.path);
  if (tokenizer.vocab_size() > hf.vocab_size) {
    throw DataError(cat(config.model.path, ": the tokenizer has ", tokenizer.vocab_size(),
                        " ids, the model's vocab_size is ", hf.vocab_size, "; the two files are not of one model"));
  }
  ChatTemplate chat = ChatTemplate::pick(config.model.chat_template, tokenizer);
  Inputs inputs{std::move(hf), std::move(tokenizer), std::move(chat), nullptr, std::nullopt};
  if (config.task.kind == Node::Kind::kMap) inputs.tasks = make_task(config.task, env_context(config, host));
  if (!config.rewards.empty()) inputs.rubric.emplace(config.rewards, host);
  return inputs;
}

AdapterStack Policy::stack() const {
  AdapterStack stack;
  if (adapter) stack.push_back(&*adapter);
  return stack;
}

std::string Policy::digest() const { return adapter ? adapter->digest() : model.digest(); }

Policy load_policy(const RunConfig& config, at::Device device) {
  if (config.model.init == "random") {
    return Policy{CausalLm::create(read_hf_config(config.model.path), config.model.init_std, config.seed, device),
                  std::nullopt};
  }
  Policy policy{CausalLm::load(config.model.path, device), std::nullopt};
  if (!config.adapter) return policy;
  if (config.adapter->init_from.empty()) {
    policy.adapter = Adapter::create(policy.model.sites(), *config.adapter, config.seed, device);
  } else {
    Artefact artefact = resolve_artefact(config.adapter->init_from);
    policy.adapter = Adapter::load(artefact.folder, policy.model.sites(), device);
    policy.warning = std::move(artefact.warning);
    check_same_shape(*config.adapter, policy.adapter->config());
  }
  return policy;
}

Policy load_policy_from(const fs::path& model_dir, const fs::path& artefact, at::Device device) {
  if (artefact.empty()) return Policy{CausalLm::load(model_dir, device), std::nullopt};
  const auto [folder, warning] = resolve_artefact(artefact);
  const bool is_adapter = fs::exists(folder / "adapter_model.safetensors");
  Policy policy{CausalLm::load(is_adapter ? model_dir : folder, device), std::nullopt, warning};
  if (is_adapter) policy.adapter = Adapter::load(folder, policy.model.sites(), device);
  return policy;
}

Artefact resolve_artefact(const fs::path& path) {
  if (!fs::is_directory(path))
    throw DataError(cat(path.string(), ": no such folder; want a run, a checkpoint or an adapter folder"));
  if (holds_weights(path)) {
    if (fs::exists(path / "MANIFEST.json")) verify_dir(path);
    return {path, ""};
  }
  const FoundCheckpoint found = find_checkpoint(path);
  check_any_whole(path, found);
  if (found.path) return {*found.path, damage_text(found)};
  throw DataError(
      cat(path.string(), ": holds neither adapter_model.safetensors nor model.safetensors nor a run's checkpoints"));
}

RolloutContext rollout_context(const Inputs& inputs, const Policy& policy, uint64_t seed) {
  return RolloutContext{.model = &policy.model,
                        .tokenizer = &inputs.tokenizer,
                        .chat = &inputs.chat,
                        .tasks = inputs.tasks.get(),
                        .rubric = inputs.rubric ? &*inputs.rubric : nullptr,
                        .seed = seed};
}

}  // namespace noregret
