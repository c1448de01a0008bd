#include "noregret/run/trainer.h"

#include <ATen/ops/arange.h>

#include <algorithm>
#include <limits>

#include "noregret/base/clock.h"
#include "noregret/base/error.h"
#include "noregret/base/text.h"
#include "noregret/run/checkpoint.h"
#include "noregret/tensor/device.h"
#include "run/failure_watch.h"
#include "run/out_of_memory.h"

namespace noregret {
namespace {

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

// Finite weights may be of no use all the same: so large that a forward overflows.
bool gives_finite_logprobs(const Policy& policy) {
  const CausalLm& model = policy.model;
  const int64_t length = std::min<int64_t>({model.config().vocab_size, model.config().max_positions, 8});
  const Tensor ids = at::arange(length, at::TensorOptions(at::kLong).device(model.device()));
  const TokenBatch batch{ids, ids, {Segment{0, length, -1, -1}}};
  return all_finite(score_tokens(model, policy.stack(), batch, ids, ids, 1.0, length));
}

}  // namespace

Trainer::~Trainer() = default;

RunSummary Trainer::run() {
  RunSummary summary;
  open_step_ = Metrics();  // of step 0: evaluated before any update
  if (const auto checkpoint = setup_.run_dir->checkpoint()) restore(*checkpoint);
  try {
    rehearse_save();
    go_through_steps(summary);
  } catch (const NonFiniteError& e) {
    if (step_ == 0) throw;  // the weights came like this
    await_save();
    setup_.run_dir->forget_from(step_);
    throw DivergedError(
        cat("training diverged after step ", step_, ": ", e.what(), broken_rule(), "; ", newest_text()));
  } catch (const DivergedError& e) {
    await_save();
    // Every forward since the last update failed: its checkpoint is one to start from no more.
    setup_.run_dir->forget_from(step_ + 1 - learner_->num_skipped_in_row());
    throw DivergedError(cat(e.what(), broken_rule(), "; ", newest_text()));
  } catch (const RewardFailureError& e) {
    save();
    throw RewardFailureError(cat(e.what(), "; ", newest_text()));
  } catch (const InterruptedError& e) {
    save();
    throw InterruptedError(
        cat(e.what(), " after step ", step_, "; ", newest_text(), "; the same command goes on from there"));
  } catch (const std::exception& e) {
    await_save();
    if (!is_out_of_memory(e)) throw;
    if (optimizer_->num_updates() == updates_before_step_) save();
    throw Error(ExitCode::kInternal, cat("out of memory in step ", step_ + 1, " with train.microbatch_tokens ",
                                         sizes_.microbatch_tokens, " and rollout.max_batch ", sizes_.max_batch, "; ",
                                         newest_text(), "; take a smaller model or machine"));
  }
  summary.steps = step_;
  summary.planned_bytes = planned_bytes_;
  return summary;
}

void Trainer::go_through_steps(RunSummary& summary) {
  close_step(summary);
  while (step_ < last_step()) {
    if (!setup_.run_dir->is_saving()) await_save();
    poll(cat("step ", step_ + 1));
    take_step(summary);
    close_step(summary);
    watch_failures();
    // While updates are skipped nothing is new.
    if (is_due(config_.train.save_every) && learner_->num_skipped_in_row() == 0) begin_save_or_warn();
  }
  poll("the last checkpoint");
  if (!save()) throw DivergedError(cat("training diverged: after step ", step_, " no log-prob is finite"));
}

int64_t Trainer::last_step() const { return setup_.last_step >= 0 ? setup_.last_step : config_.train.steps; }

void Trainer::beat(const std::string& phase) {
  if (setup_.watchdog != nullptr) setup_.watchdog->beat(phase);
}

void Trainer::poll(const std::string& phase) {
  beat(phase);
  setup_.signals->check();
  if (!setup_.signals->take_save_request()) return;
  begin_save_or_warn();
  await_save();
  setup_.reporter->line("SIGUSR1: " + newest_text());
}

// Weights are unchanged when memory runs out before a step's first update, so that the step can be done again in
// smaller pieces: samples are a function of seed and step.
void Trainer::in_smaller_pieces(const std::function<void()>& work) {
  updates_before_step_ = optimizer_->num_updates();
  while (true) {
    try {
      work();
      return;
    } catch (const std::exception& e) {
      await_save();  // its copy of the weights takes memory
      const bool can_retry = is_out_of_memory(e) && optimizer_->num_updates() == updates_before_step_;
      if (!can_retry || !halve_memory()) throw;
      setup_.reporter->warn(cat("step ", step_ + 1, ": out of memory; once more, and from now on, with ",
                                "train.microbatch_tokens ", sizes_.microbatch_tokens, " and rollout.max_batch ",
                                sizes_.max_batch));
    }
  }
}

void Trainer::watch_failures() const {
  if (!failures_ || !failures_->is_passed()) return;
  throw RewardFailureError(cat("after step ", step_, ": ", failures_->num_failed(), " rewards failed over the last ",
                               config_.rollout.failed_steps, " steps, more than rollout.max_failed ",
                               config_.rollout.max_failed, " allows, ", last_failure_,
                               "; mend the reward (`noregret reward test`), or raise it"));
}

void Trainer::take_step(RunSummary& summary) {
  const Stopwatch whole_step;
  SourceBatch batch;
  Metrics metrics;
  in_smaller_pieces([&] {
    batch = source_->next(step_ + 1);
    metrics = batch.metrics;
    const Stopwatch learning;
    metrics.merge(learner_->step(batch.train));
    batch.timing.set("time/learn_s", learning.seconds());
  });
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
  if (save_s_ > 0) batch.timing.set("time/save_s", std::exchange(save_s_, 0.0));
  if (num_failed_saves_ > 0) batch.timing.set("log/failed_saves", static_cast<double>(num_failed_saves_));
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
  before_last_eval_ = Json();
  const bool is_extra = step_ > 0 && step_ == config_.train.steps && config_.eval.every > 0;
  try {
    // A run that goes on to more steps takes back the evaluation that is due only because this was the last one.
    if (is_extra && step_ % config_.eval.every != 0)
      before_last_eval_ = Json{{"metrics", to_json(*open_step_)}, {"cursors", setup_.run_dir->cursors()}};
  } catch (const IoError&) {  // log() below says so
  }
  if (step_ == 0 || is_due(config_.eval.every)) in_smaller_pieces([&] { evaluate(*open_step_, summary); });
  if (!open_step_->items().empty()) {
    const std::optional<std::string> failure = setup_.run_dir->log(step_, *open_step_, timing_);
    if (failure) setup_.reporter->warn(cat("step ", step_, ": metrics wait to be written: ", *failure));
  }
  open_step_.reset();
  timing_ = Metrics();
}

bool Trainer::is_due(int64_t every) const { return every > 0 && (step_ % every == 0 || step_ == config_.train.steps); }

void Trainer::evaluate(Metrics& metrics, RunSummary& summary) {
  if (!evaluator_) return;
  std::vector<Evaluation> done = evaluator_->run(setup_.policy->stack(), progress("evaluation"));
  metrics.merge(evaluation_metrics(done));
  score_ = done.front().avg.mean;
  scored_step_ = step_;
  setup_.reporter->line(cat("evaluation after step ", step_, ": ", evaluation_text(done)));
  for (const Evaluation& evaluation : done) {
    or_warn("completions of the evaluation are not kept", [&] {
      setup_.run_dir->write_evals(step_, evaluation.name, evaluation.groups, setup_.inputs->rubric->component_names());
    });
  }
  (step_ == 0 ? summary.before : summary.after) = std::move(done);
}

void Trainer::or_warn(const std::string& what, const std::function<void()>& write) {
  try {
    write();
  } catch (const IoError& e) {
    setup_.reporter->warn(cat("step ", step_, ": ", what, ": ", e.what()));
  }
}

// A disk that takes no checkpoint is found out before the first step.
void Trainer::rehearse_save() {
  if (step_ >= last_step()) return;
  setup_.run_dir->check_space(checkpoint_files(config_, *setup_.policy, *optimizer_), retention());
  if (!setup_.run_dir->checkpoint()) save();
}

Retention Trainer::retention() const {
  const TrainOptions& train = config_.train;
  return {.keep_last = train.keep_last, .keep_every = train.keep_every, .keep_best = train.keep_best};
}

bool Trainer::save() {
  const bool is_good = begin_save();
  finish_save();
  return is_good;
}

// Good checkpoints make no room for weights of no use.
bool Trainer::begin_save() {
  await_save();
  if (saved_step_ == step_) return true;
  const Stopwatch taking;
  if (!gives_finite_logprobs(*setup_.policy)) {
    setup_.reporter->warn(cat("step ", step_, ": no checkpoint, the weights give no finite log-probs"));
    return false;
  }
  Json state = Json::object();
  state["lr"] = optimizer_->lr();
  state["skipped_in_row"] = learner_->num_skipped_in_row();
  if (failures_) state["reward_failures"] = failures_->state();
  if (open_step_) state["open_step"] = to_json(*open_step_);
  if (!before_last_eval_.is_null()) state["before_last_eval"] = before_last_eval_;
  if (scored_step_ == step_) state["score"] = score_;
  setup_.run_dir->begin_save(step_, checkpoint_files(config_, *setup_.policy, *optimizer_), std::move(state),
                             retention());
  saving_step_ = step_;
  if (!open_step_) saved_step_ = step_;
  save_s_ += taking.seconds();
  return true;
}

void Trainer::finish_save() {
  if (saving_step_ < 0) return;
  const Stopwatch waiting;
  beat(cat("waiting for the checkpoint of step ", saving_step_, " to be written"));
  saving_step_ = -1;
  try {
    setup_.run_dir->finish_save();
  } catch (...) {
    saved_step_ = -1;
    throw;
  }
  save_s_ += waiting.seconds();
}

void Trainer::begin_save_or_warn() {
  try {
    begin_save();
  } catch (const IoError& e) {
    warn_of_save(step_, e);
  }
}

void Trainer::await_save() {
  const int64_t step = saving_step_;
  try {
    finish_save();
  } catch (const IoError& e) {
    warn_of_save(step, e);
  }
}

void Trainer::warn_of_save(int64_t step, const IoError& error) {
  ++num_failed_saves_;
  setup_.reporter->warn(cat("step ", step, ": no checkpoint: ", error.what(), "; going on, and trying again when the ",
                            "next one is due; ", newest_text()));
}

void Trainer::restore(const fs::path& checkpoint) {
  restore_checkpoint(checkpoint, *setup_.policy, *optimizer_);
  const std::string file = (checkpoint / "state.json").string();
  const Json state = parse_json(read_file(file), file);
  step_ = json_int(state, "step", file);
  learner_->set_num_skipped_in_row(json_int(state, "skipped_in_row", file));
  if (failures_ && state.contains("reward_failures")) failures_->restore(state["reward_failures"]);
  saved_step_ = step_;
  open_step_.reset();
  if (state.contains("open_step")) {
    open_step_ = metrics_of(state["open_step"]);
  } else if (state.contains("before_last_eval") && step_ < config_.train.steps) {
    setup_.run_dir->cut_back(json_at(state["before_last_eval"], "cursors", file));
    open_step_ = metrics_of(json_at(state["before_last_eval"], "metrics", file));
  }
  if (open_step_) saved_step_ = -1;
  setup_.reporter->line(cat("going on after step ", step_, " from ", checkpoint.string()));
  const double lr = state.contains("lr") ? json_number(state, "lr", file) : optimizer_->lr();
  if (lr != optimizer_->lr())
    setup_.reporter->warn(
        cat("the learning rate was ", lr, ", is ", optimizer_->lr(), " from step ", step_ + 1, " on"));
}

RolloutProgress Trainer::progress(const std::string& what) {
  return [this, what](const std::string& phase, int64_t done, int64_t total) {
    const std::string text = cat("step ", step_ + 1, " ", what, ": ", phase, " ", done, "/", total);
    poll(text);
    setup_.reporter->status(text);
  };
}

}  // namespace noregret
