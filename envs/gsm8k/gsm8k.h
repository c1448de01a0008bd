#pragma once

#include <memory>

#include "noregret/rollout/env.h"

namespace noregret {

// GSM8K (arXiv:2110.14168), FileTaskOptions: the gold is the number after the answer's last `####`, the demonstration
// is the answer without the calculator marks `<<48/2=24>>`. Throws as make_file_tasks.
std::unique_ptr<TaskSource> make_gsm8k(FieldReader& reader, const EnvContext& context);

}  // namespace noregret
