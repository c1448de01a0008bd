#include <cstdio>

#include "noregret/base/text.h"
#include "noregret/run/trainer.h"

namespace noregret {
namespace {

std::string number(double value, const char* format) {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

}  // namespace

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
  if (is_due(config_.log.rollouts_every)) {
    or_warn("completions are not kept", [&] { setup_.run_dir->write_rollouts(step_, batch.groups, names); });
  }
  if (is_due(config_.log.samples_every) || (config_.log.samples_every > 0 && step_ == 1))
    reporter.line(sample_table(batch.groups, names, config_.log.num_samples));
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

std::string Trainer::newest_text() const {
  const auto checkpoint = setup_.run_dir->checkpoint();
  return checkpoint ? "the newest checkpoint: " + checkpoint->string() : "there is no checkpoint yet";
}

// Which of the recipe's rules (docs/recipe.md) a run that diverged has broken.
std::string Trainer::broken_rule() const {
  const double factor = optimizer_->lr() / recipe_lr_;
  if (factor > 2.0) {
    return cat("; optimizer.lr is ", number(factor, "%.3g"), " times the recipe's ", number(recipe_lr_, "%.2e"),
               ": set optimizer.lr: auto");
  }
  if (config_.adapter && config_.adapter->alpha > 64) {
    return cat("; adapter.alpha is ", config_.adapter->alpha, ", the recipe's is 32");
  }
  if (config_.mode == "sft" && config_.adapter && config_.data.batch_size > 128) {
    return cat("; data.batch_size is ", config_.data.batch_size,
               ", adapters want smaller ones than all weights do: 32");
  }
  return "; no rule of the recipe is broken: try a lower optimizer.lr, or another seed";
}

}  // namespace noregret
