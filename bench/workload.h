#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "noregret/base/json.h"

namespace noregret::bench {

// What every workload has. Each runs `warmup` times, then `repeat` times, and is told by the median.
struct Common {
  std::filesystem::path model_dir;
  std::filesystem::path inputs;  // a JSON file with the ids or texts to use; empty = random ones
  std::string device = "cpu";    // parse_device()
  bool exact = false;            // on CUDA: bits that do not depend on the batch; on the CPU they never do
  int64_t threads = 2;
  int64_t repeat = 3;
  int64_t warmup = 1;
  int64_t rank = 0;          // of a LoRA adapter on all linear layers; 0 = none
  bool adapts_head = false;  // the adapter is on the LM head too
  uint64_t seed = 0;
};

// New tokens a second, prefill included. No stop tokens: lengths are fixed.
struct GenerateArgs : Common {
  int64_t groups = 1;      // prompts
  int64_t group_size = 1;  // completions a prompt
  int64_t prompt_len = 64;
  int64_t new_tokens = 128;
  std::vector<int64_t> lengths;  // of each completion, instead of new_tokens
  int64_t max_batch = 64;
  bool samples = false;       // temperature 1; else greedy
  double turn_seconds = 0.0;  // after that, with the adapter and without in turns for so long
};
Json run_generate(const GenerateArgs& args);

// Seconds of a learner's step: forward, loss on the end of each sequence, backward, Adam.
struct LearnArgs : Common {
  int64_t sequences = 8;
  int64_t length = 128;
  int64_t loss_tokens = 0;  // of each sequence, its last ones; 0 = half of it
  int64_t group_size = 1;   // sequences that share the tokens before those
  int64_t microbatch_tokens = 8192;
  int64_t head_chunk_tokens = 0;  // 0 = TrainOptions'
};
Json run_learn(const LearnArgs& args);

// Seconds of a whole GRPO iteration: rollout, reward, advantages, packing, learner's step; on the CPU in exact mode.
// A model without a tokenizer gets random ids as prompts, and the reward is of the ids instead of the text.
struct GrpoArgs : Common {
  int64_t groups = 4;
  int64_t group_size = 8;
  int64_t prompt_len = 64;
  int64_t new_tokens = 64;
  int64_t max_batch = 64;
  int64_t microbatch_tokens = 8192;
  int64_t head_chunk_tokens = 0;  // 0 = TrainOptions'
};
Json run_grpo(const GrpoArgs& args);

}  // namespace noregret::bench
