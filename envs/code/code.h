#pragma once

#include <memory>

#include "noregret/rollout/env.h"

namespace noregret {

// Programming problems, FileTaskOptions: rows {"prompt", "tests", optional "demonstration"}. The tests become metadata,
// in the form that the reward code_tests runs. Throws as make_file_tasks, and DataError on a test of another form.
std::unique_ptr<TaskSource> make_code(FieldReader& reader, const EnvContext& context);

}  // namespace noregret
