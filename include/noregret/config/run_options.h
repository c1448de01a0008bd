#pragma once

#include <string>

#include "noregret/base/fields.h"

namespace noregret {

struct ModelOptions {
  using HasFieldsTag = void;
  std::string path;
  std::string chat_template = "auto";
  std::string init = "pretrained";
  double init_std = 0.02;

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("path", path, "Hugging Face folder: config.json, tokenizer.json, safetensors");
    v("chat_template", chat_template, "auto (by the tokenizer's own template), chatml, smollm2, llama3, none");
    v("init", init, OneOf{"pretrained", "random"},
      "random: only config.json and the tokenizer are read, weights are drawn");
    v("init_std", init_std, GreaterThan{0}, "standard deviation of random weights");
  }
};

struct EvalOptions {
  using HasFieldsTag = void;
  int64_t every = 0;
  int64_t limit = 100;
  bool greedy = true;
  int64_t samples = 0;
  double temperature = 1.0;
  int64_t max_new_tokens = 0;

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("every", every, AtLeast{0}, "steps between evaluations, before step 1 and after the last too; 0 = none at all");
    v("limit", limit, AtLeast{1}, "held-out problems, from the first on");
    v("greedy", greedy, "one greedy completion a problem: eval/greedy/avg");
    v("samples", samples, AtLeast{0}, "sampled completions a problem: eval/sampled/avg and pass@k; 0 = none");
    v("temperature", temperature, GreaterThan{0}, "of the sampled completions");
    v("max_new_tokens", max_new_tokens, AtLeast{0}, "0 = as in rollout");
  }
};

struct LogOptions {
  using HasFieldsTag = void;
  int64_t samples_every = 10;
  int64_t num_samples = 3;
  int64_t rollouts_every = 1;
  bool tensorboard = true;

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("samples_every", samples_every, AtLeast{0}, "steps between tables of sample completions; 0 = none");
    v("num_samples", num_samples, AtLeast{1}, "rows of such a table");
    v("rollouts_every", rollouts_every, AtLeast{0}, "steps between files of all completions; 0 = none");
    v("tensorboard", tensorboard, "write event files");
  }
};

}  // namespace noregret
