// What libFuzzer calls. NOREGRET_FUZZ_TARGET is a name of fuzz.h.
#include <cstring>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/text_mutator.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  noregret::fuzz::NOREGRET_FUZZ_TARGET({reinterpret_cast<const char*>(data), size});
  return 0;
}

// Half of the changes are libFuzzer's own.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned int seed) {
  if (size == 0 || seed % 2 == 0) return LLVMFuzzerMutate(data, size, max_size);
  const std::string text = noregret::fuzz::mutated_text({reinterpret_cast<const char*>(data), size}, seed, max_size);
  if (text.empty()) return LLVMFuzzerMutate(data, size, max_size);
  std::memcpy(data, text.data(), text.size());
  return text.size();
}
