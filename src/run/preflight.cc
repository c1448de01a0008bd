#include "run/preflight.h"

#include <algorithm>

#include "noregret/base/text.h"
#include "noregret/rollout/batch_source.h"
#include "noregret/run/evaluator.h"

namespace noregret {
namespace {

constexpr int64_t kEndlessTasks = 64;  // looked at of a source without end

struct Room {
  int64_t max_new_tokens;
  const char* key;  // that says so
};

void check_prompts(const Inputs& inputs, Split split, int64_t num_tasks, const Room& room) {
  for (int64_t i = 0; i < num_tasks; ++i) {
    const Task task = inputs.tasks->get(split, i);
    const auto num_ids =
        static_cast<int64_t>(encode_chat(inputs.tokenizer, inputs.chat, task.messages, true).ids.size());
    if (num_ids + room.max_new_tokens <= inputs.hf.max_positions) continue;
    throw DataError(cat("task ", task.id, ": ", num_ids, " prompt tokens and ", room.key, " ", room.max_new_tokens,
                        " make ", num_ids + room.max_new_tokens, ", the model's context is ", inputs.hf.max_positions,
                        "; lower ", room.key, " or leave the problem out"));
  }
}

int64_t num_to_check(const TaskSource& tasks, Split split) {
  const int64_t size = tasks.size(split);
  return size == TaskSource::kEndless ? kEndlessTasks : size;
}

void check_evaluation(const RunConfig& config, const Inputs& inputs) {
  if (config.eval.every == 0) return;
  const RolloutContext context{.tasks = inputs.tasks.get(), .rubric = inputs.rubric ? &*inputs.rubric : nullptr};
  const Evaluator evaluator(context, config.eval, config.rollout.max_new_tokens, max_batch_of(config.rollout, false));
  const int64_t num_tasks = std::min(config.eval.limit, num_to_check(*inputs.tasks, Split::kEval));
  const bool has_own = config.eval.max_new_tokens > 0;
  check_prompts(inputs, Split::kEval, num_tasks,
                has_own ? Room{config.eval.max_new_tokens, "eval.max_new_tokens"}
                        : Room{config.rollout.max_new_tokens, "rollout.max_new_tokens"});
}

void check_examples(const RunConfig& config, const Inputs& inputs) {
  DatasetSource::Setup setup;
  setup.max_positions = inputs.hf.max_positions;
  setup.tokenizer = &inputs.tokenizer;
  setup.chat = &inputs.chat;
  setup.tasks = inputs.tasks.get();
  setup.data = config.data;
  setup.microbatch_tokens = config.train.microbatch_tokens;
  setup.seed = config.seed;
  DatasetSource(setup).next(1);
}

}  // namespace

void check_inputs(const RunConfig& config, const Inputs& inputs) {
  if (config.mode == "sft") {
    check_examples(config, inputs);
  } else {
    const int64_t num_tasks = num_to_check(*inputs.tasks, Split::kTrain);
    if (num_tasks == 0) throw DataError("the task has no training problems; name a file with some in task.path");
    check_prompts(inputs, Split::kTrain, num_tasks, Room{config.rollout.max_new_tokens, "rollout.max_new_tokens"});
  }
  check_evaluation(config, inputs);
}

void check_vocabulary(const Tokenizer& tokenizer, const HfConfig& model, const std::string& where) {
  if (tokenizer.vocab_size() <= model.vocab_size) return;
  throw DataError(cat(where, ": the tokenizer has ", tokenizer.vocab_size(), " ids, the model's vocab_size is ",
                      model.vocab_size, "; the two are not of one model"));
}

}  // namespace noregret
