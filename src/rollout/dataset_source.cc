#include <algorithm>
#include <optional>

#include "noregret/base/error.h"
#include "noregret/base/jsonl.h"
#include "noregret/rollout/batch_source.h"
#include "rollout/task_order.h"

namespace noregret {
namespace {

[[noreturn]] void throw_no_completion(const std::string& where) {
  throw DataError(
      where +
      ": no assistant message to learn from; want {\"messages\": [..., {\"role\": \"assistant\", \"content\"}]} or "
      "{\"prompt\", \"completion\"}");
}

std::vector<Message> read_messages(const Json& row, const std::string& where) {
  if (!row.contains("messages")) {
    if (!row.contains("prompt") || !row.contains("completion")) throw_no_completion(where);
    return {{"user", json_string(row, "prompt", where)}, {"assistant", json_string(row, "completion", where)}};
  }
  const Json& list = row["messages"];
  if (!list.is_array()) throw DataError(where + ": key 'messages' is no list of {role, content}");
  std::vector<Message> messages;
  for (const Json& item : list) {
    if (!item.is_object()) throw DataError(where + ": key 'messages' is no list of {role, content}");
    messages.push_back({json_string(item, "role", where), json_string(item, "content", where)});
  }
  if (messages.empty() || messages.back().role != "assistant") throw_no_completion(where);
  return messages;
}

std::vector<Message> demonstration(const Task& task) {
  if (!task.demonstration) {
    throw DataError(task.id + ": the task has no demonstrations; name a file in data.path, or take another task");
  }
  std::vector<Message> messages = task.messages;
  messages.push_back({"assistant", *task.demonstration});
  return messages;
}

}  // namespace

struct DatasetSource::Impl {
  Setup setup;
  int64_t size = 0;
  std::vector<Example> examples;  // all of them, unless the source is endless
  int64_t num_skipped = 0;        // too long, so far

  explicit Impl(Setup given) : setup(std::move(given)) {
    if (!setup.data.path.empty()) {
      for (const JsonLine& row : read_jsonl(setup.data.path)) {
        const std::string where = cat(setup.data.path, ":", row.line);
        keep(encode(read_messages(row.value, where), where));
      }
    } else if (setup.tasks == nullptr) {
      throw DataError("no examples; name a file in data.path or a task with demonstrations");
    } else if (setup.tasks->size(Split::kTrain) == TaskSource::kEndless) {
      size = TaskSource::kEndless;
      return;
    } else {
      for (int64_t i = 0; i < setup.tasks->size(Split::kTrain); ++i) keep(encode_task(i));
    }
    size = static_cast<int64_t>(examples.size());
    const std::string where = setup.data.path.empty() ? "the task" : setup.data.path;
    if (size == 0)
      throw DataError(
          cat(where, ": no examples left; ", num_skipped, " are longer than the context of ", setup.max_positions));
  }

  void keep(std::optional<Example> example) {
    if (example) {
      examples.push_back(std::move(*example));
    } else {
      ++num_skipped;
    }
  }

  // None: longer than the context, and such examples are to be left out.
  std::optional<Example> encode(const std::vector<Message>& messages, const std::string& where) const {
    EncodedChat chat = encode_chat(*setup.tokenizer, *setup.chat, messages, false);
    const int64_t length = static_cast<int64_t>(chat.ids.size());
    if (length > setup.max_positions) {
      if (setup.data.too_long == "skip") return std::nullopt;
      throw DataError(cat(where, ": ", length, " tokens are longer than the model's context of ", setup.max_positions,
                          "; shorten the example or set data.too_long: skip"));
    }
    if (!chat.is_completion.empty()) chat.is_completion[0] = false;  // nothing predicts the first token
    if (std::find(chat.is_completion.begin(), chat.is_completion.end(), true) == chat.is_completion.end()) {
      throw DataError(where + ": the completion has no tokens, want at least one");
    }
    return Example{std::move(chat.ids), std::move(chat.is_completion)};
  }

  std::optional<Example> encode_task(int64_t index) const {
    const Task task = setup.tasks->get(Split::kTrain, index);
    return encode(demonstration(task), task.id);
  }
};

DatasetSource::DatasetSource(Setup setup) : impl_(std::make_unique<Impl>(std::move(setup))) {}
DatasetSource::~DatasetSource() = default;

SourceBatch DatasetSource::next(int64_t step) {
  const Setup& setup = impl_->setup;
  const bool is_endless = impl_->size == TaskSource::kEndless;
  int64_t num_skipped = is_endless ? 0 : impl_->num_skipped;
  std::vector<Example> examples;
  for (const int64_t index : step_indices(impl_->size, setup.seed, step, setup.data.batch_size)) {
    std::optional<Example> example = is_endless ? impl_->encode_task(index) : impl_->examples[index];
    if (example) {
      examples.push_back(std::move(*example));
    } else {
      ++num_skipped;
    }
  }
  SourceBatch batch;
  batch.train = pack_examples(examples, setup.microbatch_tokens, setup.device);
  batch.metrics.set("data/examples", static_cast<double>(examples.size()));
  batch.metrics.set("data/loss_tokens", static_cast<double>(batch.train.num_loss_tokens));
  batch.metrics.set("data/skipped", static_cast<double>(num_skipped));
  return batch;
}

}  // namespace noregret
