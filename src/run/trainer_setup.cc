#include <algorithm>
#include <cmath>

#include "noregret/base/error.h"
#include "noregret/base/text.h"
#include "noregret/rollout/canary.h"
#include "noregret/run/memory_plan.h"
#include "noregret/run/trainer.h"
#include "noregret/tensor/cuda.h"
#include "noregret/tensor/device.h"
#include "noregret/train/lr_law.h"
#include "run/failure_watch.h"
#include "run/size_text.h"

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
      sizes_{max_batch_of(setup.config->rollout, setup.policy->model.device().is_cuda()),
             setup.config->train.microbatch_tokens} {
  Policy& policy = *setup_.policy;
  const Inputs& inputs = *setup_.inputs;
  if (policy.adapter) {
    if (config_.objective.kl_coef > 0 && !config_.adapter->init_from.empty()) reference_ = policy.adapter->clone();
    policy.adapter->set_trainable(true);
    base_norm_ = adapted_norm(policy);
  } else {
    policy.model.set_trainable(true);
  }
  if (policy.model.backend() != Backend::kAten) {
    plan_sizes();
  } else if (policy.model.device().is_cuda()) {
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

// Before anything of a step's is allocated.
void Trainer::plan_sizes() {
  const Policy& policy = *setup_.policy;
  const ModelShapes shapes = shapes_of(policy.model, policy.adapter ? &*policy.adapter : nullptr);
  const auto free_bytes = static_cast<double>(free_memory_bytes(policy.model.device()));
  const BatchSizes wanted = sizes_;
  sizes_ = sizes_that_fit(config_, shapes, free_bytes);
  RunConfig config = config_;
  config.rollout.max_batch = sizes_.max_batch;
  config.train.microbatch_tokens = sizes_.microbatch_tokens;
  const MemoryPlan plan = plan_memory(config, shapes);
  planned_bytes_ = plan.total();
  if (sizes_ != wanted) {
    setup_.reporter->warn(cat("memory: ", gigabytes(free_bytes), " are free, too few for rollout.max_batch ",
                              wanted.max_batch, " and train.microbatch_tokens ", wanted.microbatch_tokens,
                              "; taken: ", sizes_.max_batch, " and ", sizes_.microbatch_tokens));
  }
  setup_.reporter->line(cat("memory ", plan.text(), ", ", gigabytes(free_bytes), " free"));
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
    source.rollout.max_batch = sizes_.max_batch;
    source.objective = config_.objective;
    source.microbatch_tokens = sizes_.microbatch_tokens;
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
    source.microbatch_tokens = sizes_.microbatch_tokens;
    source.seed = config_.seed;
    source_ = std::make_unique<DatasetSource>(source);
  }
  if (config_.eval.every > 0) {
    evaluator_ = std::make_unique<Evaluator>(context, config_.eval, config_.rollout.max_new_tokens, sizes_.max_batch);
  }
}

bool Trainer::halve_memory() {
  if (sizes_.microbatch_tokens <= 1 && sizes_.max_batch <= 1) return false;
  sizes_ = {std::max<int64_t>(sizes_.max_batch / 2, 1), std::max<int64_t>(sizes_.microbatch_tokens / 2, 1)};
  make_sources();
  return true;
}

}  // namespace noregret
