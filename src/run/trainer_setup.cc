#include <algorithm>
#include <cmath>

#include "noregret/base/error.h"
#include "noregret/base/text.h"
#include "noregret/rollout/canary.h"
#include "noregret/run/memory_plan.h"
#include "noregret/run/trainer.h"
#include "noregret/tensor/cuda.h"
#include "noregret/train/lr_law.h"
#include "run/failure_watch.h"

namespace noregret {
namespace {

LrLawInput lr_input(const RunConfig& config, const HfConfig& hf, const Policy& policy) {
  LrLawInput input;
  input.hidden_size = hf.hidden_size;
  if (policy.adapter) input.lora_alpha = policy.adapter->config().alpha;
  input.is_rl = config.mode == "rl";
  input.num_steps = config.train.steps;
  return input;
}

double adapted_norm(const Policy& policy) {
  double sum = 0.0;
  const std::vector<LinearSite>& sites = policy.model.sites();
  for (size_t i = 0; i < sites.size(); ++i) {
    if (policy.adapter->find(static_cast<int64_t>(i)) != nullptr)
      sum += std::pow(sites[i].weight().norm().item<double>(), 2);
  }
  return std::sqrt(sum);
}

// On CUDA the same bits cost some speed, so they are given where they are asked for.
bool is_exact(const std::string& exact, Backend backend) {
  if (exact == "true" && backend == Backend::kAten) {
    throw ConfigError(
        "rollout.exact: is true, want auto or false for this model on this device: only the kernels give the sampler "
        "and "
        "the learner the same bits, and on CUDA they want a bf16 model");
  }
  return exact == "auto" ? backend == Backend::kKernels : exact == "true";
}

// Once, before the first step.
void check_sampler(Policy& policy) {
  if (sampler_follows(policy.model, policy.stack(), *policy.adapter, {0, 1})) return;
  throw ExactnessError("the sampler's logits do not follow the adapter that is trained; report it with the config");
}

}  // namespace

Trainer::Trainer(Setup setup)
    : setup_(setup),
      config_(*setup.config),
      microbatch_tokens_(setup.config->train.microbatch_tokens),
      max_batch_(setup.config->rollout.max_batch) {
  Policy& policy = *setup_.policy;
  const Inputs& inputs = *setup_.inputs;
  if (policy.adapter) {
    if (config_.objective.kl_coef > 0 && !config_.adapter->init_from.empty()) reference_ = policy.adapter->clone();
    policy.adapter->set_trainable(true);
    base_norm_ = adapted_norm(policy);
  } else {
    policy.model.set_trainable(true);
  }
  if (policy.model.backend() == Backend::kKernels) {
    const Adapter* adapter = policy.adapter ? &*policy.adapter : nullptr;
    setup_.reporter->line("memory " + plan_memory(config_, policy.model, adapter).text());
  }
  if (policy.model.device().is_cuda() && policy.model.backend() == Backend::kAten) {
    setup_.reporter->line(
        "engine LibTorch's operators: the model is not bf16, or has a shape that the CUDA kernels do not know");
  }
  const LrLaw law = resolve_lr(config_.optimizer.lr, lr_input(config_, inputs.hf, policy));
  setup_.reporter->line("learning rate " + law.explanation);
  recipe_lr_ = lr_law(lr_input(config_, inputs.hf, policy)).lr;
  optimizer_ = std::make_unique<Adam>(policy.adapter ? policy.adapter->parameters() : policy.model.parameters(),
                                      config_.optimizer, law.lr);

  Learner::Setup learner;
  learner.model = &policy.model;
  learner.policy = policy.stack();
  if (reference_) learner.reference = {&*reference_};
  learner.objective = config_.objective;
  learner.train = config_.train;
  learner.exact = config_.mode == "rl" && is_exact(config_.rollout.exact, policy.model.backend());
  if (learner.exact && policy.model.backend() == Backend::kCuda) {
    request_invariant_products();
    policy.model.set_exact(true);
  }
  learner.tick = [this](int64_t microbatch_idx) {
    poll(cat("step ", step_ + 1, " learning: microbatch ", microbatch_idx + 1));
  };
  learner_ = std::make_unique<Learner>(learner, *optimizer_);

  if (config_.mode == "rl") {
    failures_ = std::make_unique<FailureWatch>(config_.rollout.max_failed,
                                               std::min(config_.rollout.failed_steps, config_.train.steps));
    if (policy.adapter) check_sampler(policy);
  }
  make_sources();
}

// The batches of training and the evaluator, within the memory that is left to them.
void Trainer::make_sources() {
  const Inputs& inputs = *setup_.inputs;
  const RolloutContext context = rollout_context(inputs, *setup_.policy, config_.seed);
  if (config_.mode == "rl") {
    RolloutSource::Setup source;
    source.context = context;
    source.policy = setup_.policy->stack();
    source.rollout = config_.rollout;
    source.rollout.max_batch = max_batch_;
    source.objective = config_.objective;
    source.microbatch_tokens = microbatch_tokens_;
    source.progress = progress("rollout");
    source_ = std::make_unique<RolloutSource>(source);
  } else {
    DatasetSource::Setup source;
    source.max_positions = inputs.hf.max_positions;
    source.device = setup_.policy->model.device();
    source.tokenizer = &inputs.tokenizer;
    source.chat = &inputs.chat;
    source.tasks = inputs.tasks.get();
    source.data = config_.data;
    source.microbatch_tokens = microbatch_tokens_;
    source.seed = config_.seed;
    source_ = std::make_unique<DatasetSource>(source);
  }
  if (config_.eval.every > 0) {
    evaluator_ = std::make_unique<Evaluator>(context, config_.eval, config_.rollout.max_new_tokens, max_batch_);
  }
}

bool Trainer::halve_memory() {
  if (microbatch_tokens_ <= 1 && max_batch_ <= 1) return false;
  microbatch_tokens_ = std::max<int64_t>(microbatch_tokens_ / 2, 1);
  max_batch_ = std::max<int64_t>(max_batch_ / 2, 1);
  make_sources();
  return true;
}

}  // namespace noregret
