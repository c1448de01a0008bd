#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "noregret/run/run_dir.h"
#include "tests/support/scratch.h"

namespace noregret {

inline RunDir::Setup run_setup(const fs::path& path) {
  RunDir::Setup setup;
  setup.path = path;
  setup.config = {{"seed", 1}, {"optimizer", {{"lr", "auto"}}}, {"train", {{"steps", 10}, {"microbatch_tokens", 64}}}};
  setup.manifest = {{"noregret", "0"}, {"sha256_base_model", "aa"}, {"sha256_plugins", {{"format", "bb"}}}};
  setup.tensorboard = false;
  return setup;
}

inline Metrics metrics_of(std::initializer_list<std::pair<const char*, double>> items) {
  Metrics metrics;
  for (const auto& [name, value] : items) metrics.set(name, value);
  return metrics;
}

// One line of metrics and a checkpoint after each step from `begin` to `end`.
inline void log_and_save(RunDir& run, int64_t begin, int64_t end, int64_t keep_last = 3) {
  for (int64_t step = begin; step <= end; ++step) {
    run.log(step, metrics_of({{"loss/value", 1.0 / static_cast<double>(step)}}), metrics_of({{"time/step_s", 0.5}}));
    run.save(step, {{"weights", "w" + std::to_string(step)}}, Json::object(), {.keep_last = keep_last});
  }
}

inline std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

inline std::vector<Json> json_lines(const fs::path& file) {
  std::vector<Json> lines;
  std::istringstream in(text_of(file));
  for (std::string line; std::getline(in, line);) lines.push_back(parse_json(line, file.string()));
  return lines;
}

}  // namespace noregret
