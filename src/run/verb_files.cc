#include <cstdio>
#include <cstring>

#include "noregret/base/file.h"
#include "noregret/base/text.h"
#include "noregret/config/yaml.h"
#include "noregret/format/gguf_import.h"
#include "noregret/run/checkpoint.h"
#include "noregret/run/experiment.h"
#include "noregret/tensor/device.h"
#include "run/verbs.h"

namespace noregret {
namespace {

// A checkpoint and the config of the run that it is part of.
struct Source {
  fs::path checkpoint;
  RunConfig config;
};

Source find_source(const std::string& path) {
  Source source;
  source.checkpoint = resolve_artefact(path);
  const fs::path absolute = fs::absolute(source.checkpoint).lexically_normal();
  const fs::path run = absolute.has_filename() ? absolute.parent_path().parent_path()
                                               : absolute.parent_path().parent_path().parent_path();
  const fs::path config = run / "config.resolved.yaml";
  if (!fs::exists(config)) {
    throw DataError(cat(path, ": is no run and no checkpoint inside a run (", config.string(),
                        " is not there); an adapter folder needs no export"));
  }
  source.config = read_run_config(load_yaml(config));
  return source;
}

void write_all(DirWriter& writer, const std::vector<NamedBytes>& files) {
  for (const NamedBytes& file : files) writer.write(file.name, file.bytes);
}

// Writes the folder, reads it back and compares: an export that cannot be loaded must not be found out by somebody
// else's program.
void export_adapter(const Source& source, const Policy& policy, const std::string& out_dir) {
  DirWriter writer(out_dir);
  writer.write("adapter_model.safetensors", policy.adapter->tensor_bytes());
  writer.write("adapter_config.json", policy.adapter->config_json(source.config.model.path));
  const Adapter read_back = Adapter::load(writer.staging(), policy.model.sites(), at::kCPU);
  if (read_back.digest() != policy.adapter->digest())
    throw IoError(cat(out_dir, ": the adapter read back differs from the one written"));
  writer.commit(false);
  for (const std::string& target : policy.adapter->config().target_modules) {
    if (target == "lm_head") {
      std::fprintf(stderr,
                   "note: lm_head is adapted; PEFT loads it, some inference servers refuse it (export --merge works "
                   "everywhere)\n");
    }
  }
}

void export_model(const Source& source, const Policy& policy, const std::string& out_dir, const std::string& dtype) {
  ModelFiles files = model_files(policy.model, policy.stack(), dtype);
  DirWriter writer(out_dir);
  writer.write("config.json", files.config_json);
  writer.write("generation_config.json", files.generation_config_json);
  writer.write("model.safetensors", files.tensor_bytes);
  files.tensor_bytes.clear();
  write_all(writer, tokenizer_files(source.config.model.path));
  CausalLm::load(writer.staging(), at::kCPU);
  writer.commit(false);
  std::fprintf(stderr, "merged weights written as %s; rounding moved a weight by at most %s\n", dtype.c_str(),
               shortest(files.max_rounding).c_str());
}

std::string dtype_of_base(const HfConfig& hf) {
  if (hf.dtype == "bfloat16") return "bf16";
  return hf.dtype == "float16" ? "f16" : "f32";
}

// Found before minutes of reading, not after.
void refuse_existing(const std::string& out_dir) {
  std::error_code error;
  if (fs::exists(fs::symlink_status(out_dir, error))) {
    throw IoError(cat(out_dir, ": exists already; remove it or name another folder"));
  }
}

}  // namespace

ExitCode run_import(const std::string& gguf, const std::string& out_dir, const std::string& dtype) {
  refuse_existing(out_dir);
  import_gguf(gguf, out_dir, dtype);
  std::printf("%s\n", out_dir.c_str());
  return ExitCode::kOk;
}

ExitCode run_export(const ExportArgs& args) {
  if (!args.merge && !args.dtype.empty())
    throw UsageError("export: --dtype goes with --merge; an adapter is written in f32");
  refuse_existing(args.out_dir);
  const Source source = find_source(args.source);
  const Policy policy = load_policy_from(source.config.model.path, source.checkpoint, at::kCPU);
  if (policy.adapter && !args.merge) {
    export_adapter(source, policy, args.out_dir);
  } else {
    export_model(source, policy, args.out_dir,
                 args.dtype.empty() ? dtype_of_base(read_hf_config(source.config.model.path)) : args.dtype);
  }
  std::printf("%s\n", args.out_dir.c_str());
  return ExitCode::kOk;
}

}  // namespace noregret
