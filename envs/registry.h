#pragma once

#include <memory>
#include <span>

#include "noregret/rollout/env.h"

namespace noregret {

// Every task that a config can name, in alphabetical order.
std::span<const EnvEntry> env_entries();

// The task that a config's `task:` map describes: `name` picks the row, the other keys are the task's own.
// Throws ConfigError on a missing or unknown name and on the task's keys, DataError on its files.
std::unique_ptr<TaskSource> make_task(const Node& task, const EnvContext& context);

}  // namespace noregret
