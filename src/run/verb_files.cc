#include <ATen/ops/arange.h>

#include <algorithm>
#include <cstdio>
#include <limits>

#include "noregret/base/file.h"
#include "noregret/base/text.h"
#include "noregret/config/yaml.h"
#include "noregret/format/gguf_import.h"
#include "noregret/nn/model_files.h"
#include "noregret/run/checkpoint.h"
#include "noregret/run/experiment.h"
#include "noregret/tensor/device.h"
#include "noregret/train/learner.h"
#include "run/filter.h"
#include "run/verbs.h"

namespace noregret {
namespace {

constexpr int64_t kProbeTokens = 32;
constexpr double kMergeBound = 1e-3;  // f32: W + B A against two products

// A checkpoint and the config of the run that it is part of.
struct Source {
  fs::path checkpoint;
  RunConfig config;
};

Source find_source(const std::string& path) {
  Source source;
  const Artefact artefact = resolve_artefact(path);
  print_warning(artefact.warning);
  source.checkpoint = artefact.folder;
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

// The largest difference of log-probs between two policies on a made-up text.
double probe_gap(const CausalLm& model, const AdapterStack& stack, const CausalLm& other,
                 const AdapterStack& other_stack) {
  const int64_t length = std::min(kProbeTokens, model.config().max_positions);
  const Tensor positions = at::arange(length, at::kLong);
  const Tensor ids = positions.mul(7919).add(13).remainder(model.config().vocab_size);
  const TokenBatch batch{ids, positions, {Segment{0, length, -1, -1}}};
  const Tensor rows = positions.narrow(0, 0, length - 1);
  const Tensor targets = ids.narrow(0, 1, length - 1);
  const Tensor gap = score_tokens(model, stack, batch, rows, targets, 1.0, length)
                         .sub(score_tokens(other, other_stack, batch, rows, targets, 1.0, length));
  return gap.abs().max().item<double>();
}

// Throws IoError where the gap is above the bound, or is no number.
void check_probe(const std::string& out_dir, double gap, double bound) {
  if (gap <= bound) {
    std::fprintf(stderr, "read back: log-probs of %d probe tokens differ by at most %s\n",
                 static_cast<int>(kProbeTokens), shortest(gap).c_str());
    return;
  }
  throw IoError(cat(out_dir, ": what was read back gives other log-probs than the run, by ", shortest(gap),
                    ", want at most ", shortest(bound), "; nothing was exported"));
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
  check_probe(out_dir, probe_gap(policy.model, policy.stack(), policy.model, {&read_back}), 0.0);
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
  std::fprintf(stderr, "merging into %s; rounding moved a weight by at most %s", dtype.c_str(),
               shortest(files.max_rounding).c_str());
  std::fprintf(stderr, policy.adapter ? " and loses %.2f %% of the adapter's change\n" : "\n", 100 * files.lost_share);
  DirWriter writer(out_dir);
  writer.write("config.json", files.config_json);
  writer.write("generation_config.json", files.generation_config_json);
  writer.write("model.safetensors", files.tensor_bytes);
  const std::string written = sha256_hex(files.tensor_bytes);
  files.tensor_bytes = std::string();
  write_all(writer, tokenizer_files(source.config.model.path));
  if (sha256_file(writer.staging() / "model.safetensors") != written)
    throw IoError(cat(out_dir, ": the weights read back are not the ones written"));
  const CausalLm read_back = CausalLm::load(writer.staging(), at::kCPU);
  // Rounded weights are another model, by how much is told; in f32 only the order of sums is another.
  const double bound = dtype == "f32" ? kMergeBound : std::numeric_limits<double>::max();
  check_probe(out_dir, probe_gap(read_back, {}, policy.model, policy.stack()), bound);
  writer.commit(false);
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
