#include "noregret/format/gguf_import.h"

#include "format/gguf_parts.h"
#include "noregret/base/error.h"
#include "noregret/base/file.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

DType weights_dtype(const std::string& dtype) {
  if (dtype == "f32") return DType::kF32;
  if (dtype == "bf16") return DType::kBF16;
  throw ConfigError(cat("dtype is ", quoted(dtype), ", want f32 or bf16"));
}

}  // namespace

void import_gguf(const std::filesystem::path& gguf, const std::filesystem::path& out_dir, const std::string& dtype) {
  const DType written = weights_dtype(dtype);
  const GgufFile file = GgufFile::open(gguf);
  HfConfig config = gguf_config(file);
  config.dtype = written == DType::kBF16 ? "bfloat16" : "float32";
  const GgufTokenizer tokenizer = gguf_tokenizer(file, config);
  DirWriter writer(out_dir);
  writer.write("config.json", write_hf_config(config));
  writer.write("generation_config.json", write_generation_config(config));
  writer.write("tokenizer.json", tokenizer.tokenizer_json);
  writer.write("tokenizer_config.json", tokenizer.tokenizer_config_json);
  writer.write("model.safetensors", gguf_weights(file, config, written));
  writer.commit(false);
}

}  // namespace noregret
