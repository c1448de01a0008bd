#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "noregret/base/text.h"
#include "noregret/rollout/generator.h"
#include "noregret/run/experiment.h"
#include "noregret/tensor/device.h"
#include "run/filter.h"
#include "run/preflight.h"
#include "run/verbs.h"

namespace noregret {
namespace {

// A loaded model that answers prompts.
class Answerer {
 public:
  explicit Answerer(const GenerateArgs& args)
      : args_(args),
        tokenizer_(Tokenizer::load(args.model_dir)),
        chat_(ChatTemplate::pick(args.chat ? "auto" : "none", tokenizer_)),
        policy_(load_policy_from(args.model_dir, args.adapter, parse_device(args.device))) {
    options_.max_new_tokens = args.max_new_tokens;
    options_.temperature = args.temperature;
    print_warning(policy_.warning);
    check_vocabulary(tokenizer_, policy_.model.config(), args.model_dir);
    options_.stop_ids = chat_.stop_ids(tokenizer_);
    for (const int64_t id : policy_.model.config().eos_token_ids) options_.stop_ids.push_back(id);
  }

  std::vector<int64_t> encode(const std::vector<Message>& messages) const {
    return encode_chat(tokenizer_, chat_, messages, true).ids;
  }

  // `where` names the prompt in errors.
  std::vector<Completion> answer(const std::vector<int64_t>& prompt_ids, uint64_t prompt_idx,
                                 const std::string& where) const {
    GenerateRequest request;
    request.prompt_ids = prompt_ids;
    request.name = where;
    for (int64_t sample = 0; sample < args_.samples; ++sample) {
      request.streams.push_back(
          Rng::stream(args_.seed, Purpose::kEval, {0, prompt_idx, static_cast<uint64_t>(sample)}));
    }
    return Generator(policy_.model, policy_.stack(), options_).generate({request}, {}).front();
  }

  std::string text(const Completion& completion) const { return tokenizer_.decode(completion.ids, true); }

 private:
  const GenerateArgs& args_;
  Tokenizer tokenizer_;
  ChatTemplate chat_;
  Policy policy_;
  GenerateOptions options_;
};

std::vector<Message> messages_of(const Json& line, const std::string& where) {
  if (!line.contains("messages")) return {{"user", json_string(line, "prompt", where)}};
  const Json& list = line["messages"];
  if (!list.is_array() || list.empty()) throw DataError(where + ": 'messages' is no list of {role, content}");
  std::vector<Message> messages;
  for (const Json& item : list) {
    if (!item.is_object()) throw DataError(where + ": 'messages' is no list of {role, content}");
    messages.push_back({json_string(item, "role", where), json_string(item, "content", where)});
  }
  return messages;
}

Json to_json(const Answerer& answerer, const std::vector<int64_t>& prompt_ids,
             const std::vector<Completion>& completions) {
  Json samples = Json::array();
  for (const Completion& completion : completions) {
    Json logprobs = Json::array();
    for (const float value : completion.logprobs) logprobs.push_back(json_float(value));
    samples.push_back(Json{{"prompt_ids", prompt_ids},
                           {"ids", completion.ids},
                           {"text", answerer.text(completion)},
                           {"logprobs", std::move(logprobs)},
                           {"finish_reason", finish_reason_name(completion.finish_reason)}});
  }
  return Json{{"samples", std::move(samples)}};
}

void print_answers(const GenerateArgs& args, const Answerer& answerer, const std::vector<int64_t>& prompt_ids,
                   const std::vector<Completion>& done) {
  if (args.json) {
    std::printf("%s\n", dump_json(to_json(answerer, prompt_ids, done)).c_str());
    return;
  }
  for (const Completion& completion : done) std::printf("%s\n", answerer.text(completion).c_str());
}

// One turn a line of stdin; the history is kept. Ends with the input.
void converse(const GenerateArgs& args, const Answerer& answerer) {
  const bool is_terminal = isatty(STDIN_FILENO) != 0;
  std::vector<Message> messages;
  uint64_t turn = 0;
  for (std::string line;;) {
    if (is_terminal) std::fputs("> ", stderr);
    if (!std::getline(std::cin, line)) break;
    messages.push_back({"user", line});
    const std::string where = cat("turn ", turn + 1);
    const std::vector<int64_t> prompt_ids = located(where, [&] { return answerer.encode(messages); });
    const std::vector<Completion> done = answerer.answer(prompt_ids, turn++, where);
    print_answers(args, answerer, prompt_ids, done);
    flush_stdout();
    messages.push_back({"assistant", answerer.text(done.front())});
  }
}

}  // namespace

ExitCode run_generate(const GenerateArgs& args) {
  if (!args.has_prompt && args.input.empty() && !args.chat) {
    throw UsageError("generate: want --prompt TEXT, --input FILE.jsonl, or --chat for a conversation");
  }
  set_num_threads(static_cast<int>(args.threads));
  const Answerer answerer(args);
  if (args.has_prompt) {
    const std::vector<int64_t> prompt_ids = located("--prompt", [&] {
      return answerer.encode({{"user", args.prompt}});
    });
    print_answers(args, answerer, prompt_ids, answerer.answer(prompt_ids, 0, "--prompt"));
    return ExitCode::kOk;
  }
  if (args.input.empty()) {
    converse(args, answerer);
    return ExitCode::kOk;
  }
  uint64_t prompt_idx = 0;
  return filter_lines(args.input, [&](const Json& line, const std::string& where) {
    const uint64_t idx = prompt_idx++;
    const std::vector<int64_t> prompt_ids = answerer.encode(messages_of(line, where));
    return to_json(answerer, prompt_ids, answerer.answer(prompt_ids, idx, where));
  });
}

}  // namespace noregret
