#include "noregret/run/trainer.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "noregret/base/clock.h"
#include "noregret/base/error.h"
#include "noregret/base/text.h"
#include "noregret/rollout/canary.h"
#include "noregret/run/checkpoint.h"
#include "noregret/run/memory_plan.h"
#include "noregret/tensor/cuda.h"
#include "noregret/tensor/device.h"
#include "noregret/train/lr_law.h"
#include "run/failure_watch.h"

namespace noregret {
namespace {

std::string number(double value, const char* format) {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

LrLaw learning_rate(const RunConfig& config, const HfConfig& hf, const Policy& policy) {
  LrLawInput input;
  input.hidden_size = hf.hidden_size;
  if (policy.adapter) input.lora_alpha = policy.adapter->config().alpha;
  input.is_rl = config.mode == "rl";
  input.num_steps = config.train.steps;
  return resolve_lr(config.optimizer.lr, input);
}

Json to_json(const Metrics& metrics) {
  Json object = Json::object();
  for (const auto& [name, value] : metrics.items()) object[name] = value;
  return object;
}

Metrics metrics_of(const Json& object) {
  Metrics metrics;
  for (const auto& [name, value] : object.items()) {
    metrics.set(name, value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN());
  }
  return metrics;
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

Trainer::Trainer(Setup setup) : setup_(setup), config_(*setup.config) {
  Policy& policy = *setup_.policy;
  const Inputs& inputs = *setup_.inputs;
  const RolloutContext context = rollout_context(inputs, policy, config_.seed);
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
  const LrLaw law = learning_rate(config_, inputs.hf, policy);
  setup_.reporter->line("learning rate " + law.explanation);
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
  learner_ = std::make_unique<Learner>(learner, *optimizer_);

  if (config_.mode == "rl") {
    RolloutSource::Setup source;
    source.context = context;
    source.policy = policy.stack();
    source.rollout = config_.rollout;
    source.objective = config_.objective;
    source.microbatch_tokens = config_.train.microbatch_tokens;
    source.progress = progress("rollout");
    source_ = std::make_unique<RolloutSource>(source);
    failures_ = std::make_unique<FailureWatch>(config_.rollout.max_failed,
                                               std::min(config_.rollout.failed_steps, config_.train.steps));
    if (policy.adapter) check_sampler(policy);
  } else {
    DatasetSource::Setup source;
    source.max_positions = inputs.hf.max_positions;
    source.device = policy.model.device();
    source.tokenizer = &inputs.tokenizer;
    source.chat = &inputs.chat;
    source.tasks = inputs.tasks.get();
    source.data = config_.data;
    source.microbatch_tokens = config_.train.microbatch_tokens;
    source.seed = config_.seed;
    source_ = std::make_unique<DatasetSource>(source);
  }
  if (config_.eval.every > 0) {
    evaluator_ =
        std::make_unique<Evaluator>(context, config_.eval, config_.rollout.max_new_tokens, config_.rollout.max_batch);
  }
}

Trainer::~Trainer() = default;

RunSummary Trainer::run() {
  RunSummary summary;
  open_step_ = Metrics();  // of step 0: evaluated before any update
  if (const auto checkpoint = setup_.run_dir->checkpoint()) restore(*checkpoint);
  try {
    close_step(summary);
    while (step_ < config_.train.steps) {
      setup_.signals->check();
      take_step(summary);
      close_step(summary);
      watch_failures();
      // While updates are skipped nothing is new, and the weights may be of no use: good checkpoints must not make
      // room.
      if (is_due(config_.train.save_every) && learner_->num_skipped_in_row() == 0) save();
    }
  } catch (const NonFiniteError& e) {
    if (step_ == first_step_) throw;  // the weights came like this
    setup_.run_dir->forget_from(step_);
    throw DivergedError(cat("training diverged after step ", step_, ": ", e.what(), going_on_text()));
  } catch (const DivergedError& e) {
    // Every forward since the last update failed: its checkpoint is one to start from no more.
    setup_.run_dir->forget_from(step_ + 1 - learner_->num_skipped_in_row());
    throw DivergedError(cat(e.what(), going_on_text()));
  } catch (const RewardFailureError& e) {
    save();
    throw RewardFailureError(cat(e.what(), "; checkpoint ", setup_.run_dir->checkpoint()->string()));
  } catch (const InterruptedError& e) {
    save();
    throw InterruptedError(cat(e.what(), " after step ", step_, "; checkpoint ", setup_.run_dir->checkpoint()->string(),
                               "; the same command goes on from there"));
  }
  save();
  summary.steps = step_;
  return summary;
}

void Trainer::watch_failures() const {
  if (!failures_ || !failures_->is_passed()) return;
  throw RewardFailureError(cat("after step ", step_, ": ", failures_->num_failed(), " rewards failed over the last ",
                               config_.rollout.failed_steps, " steps, more than rollout.max_failed ",
                               config_.rollout.max_failed, " allows, ", last_failure_,
                               "; mend the reward (`noregret reward test`), or raise it"));
}

std::string Trainer::going_on_text() const {
  const auto checkpoint = setup_.run_dir->checkpoint();
  return checkpoint ? "; the newest checkpoint from before: " + checkpoint->string() : "; there is no checkpoint yet";
}

void Trainer::take_step(RunSummary& summary) {
  const Stopwatch whole_step;
  SourceBatch batch = source_->next(step_ + 1);
  Metrics metrics = batch.metrics;
  const Stopwatch learning;
  metrics.merge(learner_->step(batch.train));
  batch.timing.set("time/learn_s", learning.seconds());
  ++step_;
  metrics.merge(adapter_metrics());
  note_failures(batch.groups);
  if (metrics.has("reward/mean")) summary.rewards.push_back(metrics.get("reward/mean"));
  report_step(batch, metrics);
  batch.timing.set("time/step_s", whole_step.seconds());
  batch.timing.set("mem/peak_bytes", static_cast<double>(peak_memory_bytes(setup_.policy->model.device())));
  const ProcessMemory memory = process_memory();
  batch.timing.set("mem/resident_bytes", static_cast<double>(memory.resident_bytes));
  batch.timing.set("mem/heap_bytes", static_cast<double>(memory.heap_bytes));
  open_step_ = std::move(metrics);
  timing_ = std::move(batch.timing);
}

void Trainer::note_failures(const std::vector<TrajectoryGroup>& groups) {
  if (!failures_) return;
  int64_t num_failed = 0;
  int64_t num_completions = 0;
  for (const TrajectoryGroup& group : groups) {
    for (const Trajectory& trajectory : group.trajectories) {
      ++num_completions;
      if (trajectory.score.status != ScoreStatus::kFailed) continue;
      ++num_failed;
      last_failure_ = cat(failure_name(trajectory.score.kind), ": ", trajectory.score.error);
    }
  }
  failures_->add(num_failed, num_completions);
}

void Trainer::close_step(RunSummary& summary) {
  if (!open_step_) return;
  if (step_ == 0 || is_due(config_.eval.every)) evaluate(*open_step_, summary);
  if (!open_step_->items().empty()) setup_.run_dir->log(step_, *open_step_, timing_);
  open_step_.reset();
  timing_ = Metrics();
}

bool Trainer::is_due(int64_t every) const { return every > 0 && (step_ % every == 0 || step_ == config_.train.steps); }

void Trainer::evaluate(Metrics& metrics, RunSummary& summary) {
  if (!evaluator_) return;
  std::vector<Evaluation> done = evaluator_->run(setup_.policy->stack(), progress("evaluation"));
  metrics.merge(evaluation_metrics(done));
  setup_.reporter->line(cat("evaluation after step ", step_, ": ", evaluation_text(done)));
  for (const Evaluation& evaluation : done) {
    setup_.run_dir->write_evals(step_, evaluation.name, evaluation.groups, setup_.inputs->rubric->component_names());
  }
  (step_ == 0 ? summary.before : summary.after) = std::move(done);
}

void Trainer::save() {
  if (saved_step_ == step_) return;
  Json state = Json::object();
  state["skipped_in_row"] = learner_->num_skipped_in_row();
  if (failures_) state["reward_failures"] = failures_->state();
  if (open_step_) state["open_step"] = to_json(*open_step_);
  setup_.run_dir->save(step_, checkpoint_files(config_, *setup_.policy, *optimizer_), std::move(state),
                       config_.train.keep_last);
  saved_step_ = step_;
}

void Trainer::restore(const fs::path& checkpoint) {
  restore_checkpoint(checkpoint, *setup_.policy, *optimizer_);
  const std::string file = (checkpoint / "state.json").string();
  const Json state = parse_json(read_file(file), file);
  step_ = json_int(state, "step", file);
  first_step_ = step_;
  learner_->set_num_skipped_in_row(json_int(state, "skipped_in_row", file));
  if (failures_ && state.contains("reward_failures")) failures_->restore(state["reward_failures"]);
  saved_step_ = step_;
  open_step_.reset();
  if (state.contains("open_step")) {
    open_step_ = metrics_of(state["open_step"]);
    saved_step_ = -1;
  }
  setup_.reporter->line(cat("going on after step ", step_, " from ", checkpoint.string()));
}

void Trainer::report_step(const SourceBatch& batch, const Metrics& metrics) {
  Reporter& reporter = *setup_.reporter;
  std::string line = cat("step ", step_, "/", config_.train.steps);
  if (metrics.has("reward/mean")) {
    line += cat("  reward ", number(metrics.get("reward/mean"), "%.3f"), "  mixed ",
                number(metrics.get("group/mixed_frac"), "%.2f"), "  tokens ",
                static_cast<int64_t>(metrics.get("rollout/tokens")));
  }
  if (metrics.has("loss/value")) line += cat("  loss ", number(metrics.get("loss/value"), "%.4f"));
  if (metrics.has("policy/max_abs_logprob_diff")) {
    line += cat("  max|dlogp| ", number(metrics.get("policy/max_abs_logprob_diff"), "%.1e"));
  }
  line += "  " + eta_.update(static_cast<double>(step_), static_cast<double>(config_.train.steps));
  reporter.line(line);
  if (metrics.has("optim/skipped") && metrics.get("optim/skipped") > 0) {
    reporter.warn(
        cat("step ", step_,
            ": a log-prob, gradient or weight was not finite; the update was left out, weights are as before"));
  }
  if (metrics.has("reward/failed") && metrics.get("reward/failed") > 0) {
    reporter.warn(cat("step ", step_, ": ", static_cast<int64_t>(metrics.get("reward/failed")),
                      " rewards failed and take no part, the last one: ", last_failure_));
  }
  if (batch.groups.empty()) return;
  const std::vector<std::string>& names = setup_.inputs->rubric->component_names();
  if (is_due(config_.log.rollouts_every)) setup_.run_dir->write_rollouts(step_, batch.groups, names);
  if (is_due(config_.log.samples_every) || (config_.log.samples_every > 0 && step_ == 1))
    reporter.line(sample_table(batch.groups, names, config_.log.num_samples));
}

RolloutProgress Trainer::progress(const std::string& what) {
  return [this, what](const std::string& phase, int64_t done, int64_t total) {
    setup_.signals->check();
    setup_.reporter->status(cat("step ", step_ + 1, " ", what, ": ", phase, " ", done, "/", total));
  };
}

// adapter/norm_a, adapter/norm_b, and adapter/delta_rel = ||scaling B A|| / ||W|| over the adapted layers (Frobenius
// norms).
Metrics Trainer::adapter_metrics() const {
  Metrics metrics;
  if (!setup_.policy->adapter) return metrics;
  const Adapter& adapter = *setup_.policy->adapter;
  metrics.set("adapter/norm_a", adapter.norm_a());
  metrics.set("adapter/norm_b", adapter.norm_b());
  metrics.set("adapter/delta_rel", adapter.norm_delta() / base_norm_);
  return metrics;
}

}  // namespace noregret
