#include "format/gguf_parts.h"
#include "noregret/format/gguf.h"
#include "tests/fuzz/fuzz.h"

namespace noregret::fuzz {
namespace {

// What import_gguf does between opening the file and writing the folder.
void import_llama(const GgufFile& file) {
  const HfConfig config = gguf_config(file);
  (void)gguf_tokenizer(file, config);
  (void)gguf_weights(file, config, DType::kBF16);
}

}  // namespace

bool gguf(std::string_view input) {
  static const Folder folder;
  const fs::path path = folder.write("x.gguf", input);
  return goes_through([&] {
    const GgufFile file = GgufFile::open(path);
    for (const GgufTensor& tensor : file.tensors()) {
      int64_t num_elements = 1;
      for (const int64_t size : tensor.shape) num_elements *= size;
      NOREGRET_CHECK(static_cast<int64_t>(file.read_f32(tensor).size()) == num_elements, quoted(tensor.name));
    }
    goes_through([&] { import_llama(file); });
  });
}

}  // namespace noregret::fuzz
