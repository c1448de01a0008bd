#include "run/manifest.h"

#include "noregret/base/file.h"
#include "noregret/kernels/isa.h"
#include "run/verbs.h"

namespace noregret {

Json make_manifest(const RunConfig& config, const Inputs& inputs, const Policy& policy, const std::string& device) {
  Json manifest = Json::object();
  manifest["noregret"] = version_text();
  manifest["device"] = device;
  manifest["cpu"] = std::string(kernels::isa_name(kernels::current_isa()));
  manifest["build"] = sha256_file("/proc/self/exe");
  manifest["seed"] = config.seed;
  manifest["sha256_base_model"] =
      config.model.init == "random" ? sha256_file(fs::path(config.model.path) / "config.json") : policy.model.digest();
  manifest["sha256_tokenizer"] = inputs.tokenizer.digest();
  if (inputs.tasks) manifest["sha256_task"] = inputs.tasks->digest();
  if (!config.data.path.empty()) manifest["sha256_data"] = sha256_file(config.data.path);
  if (inputs.rubric) {
    for (const auto& scorer : inputs.rubric->scorers()) manifest["sha256_plugins"][scorer->name()] = scorer->digest();
  }
  if (policy.adapter && !config.adapter->init_from.empty()) manifest["sha256_start_adapter"] = policy.adapter->digest();
  return manifest;
}

}  // namespace noregret
