#include "noregret/run/checkpoint.h"

#include "noregret/base/file.h"
#include "noregret/nn/model_files.h"
#include "noregret/tensor/tensor_file.h"

namespace noregret {

std::vector<NamedBytes> tokenizer_files(const fs::path& model_dir) {
  std::vector<NamedBytes> files;
  for (const char* name :
       {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"}) {
    if (fs::exists(model_dir / name)) files.push_back({name, read_file(model_dir / name)});
  }
  return files;
}

std::vector<NamedBytes> checkpoint_files(const RunConfig& config, const Policy& policy, const Adam& optimizer) {
  std::vector<NamedBytes> files;
  if (policy.adapter) {
    files.push_back({"adapter_model.safetensors", policy.adapter->tensor_bytes()});
    files.push_back({"adapter_config.json", policy.adapter->config_json(config.model.path)});
  } else {
    ModelFiles model = model_files(policy.model, {}, "f32");
    files.push_back({"model.safetensors", std::move(model.tensor_bytes)});
    files.push_back({"config.json", std::move(model.config_json)});
    files.push_back({"generation_config.json", std::move(model.generation_config_json)});
    for (NamedBytes& file : tokenizer_files(config.model.path)) files.push_back(std::move(file));
  }
  files.push_back({"optimizer.safetensors", tensors_to_bytes(optimizer.state())});
  return files;
}

void restore_checkpoint(const fs::path& checkpoint, Policy& policy, Adam& optimizer) {
  const fs::path weights = checkpoint / (policy.adapter ? "adapter_model.safetensors" : "model.safetensors");
  const std::vector<NamedTensor> targets = policy.adapter ? policy.adapter->parameters() : policy.model.parameters();
  restore_parameters(targets, read_tensors(weights), weights.string());
  const fs::path moments = checkpoint / "optimizer.safetensors";
  optimizer.restore(read_tensors(moments), moments.string());
}

}  // namespace noregret
