#pragma once

#include <string>

namespace noregret {

// Loads the plugin and answers requests on the descriptor until the other side closes. Returns an exit code.
int run_worker_loop(int channel, const std::string& plugin_file);

}  // namespace noregret
