#include "format/gguf_types.h"

#include <array>
#include <cstring>

#include "format/float_bits.h"
#include "noregret/base/check.h"

namespace noregret {
namespace {

static_assert(std::endian::native == std::endian::little, "values are copied as they lie in the file");

// Ids of ggml.h (enum ggml_type).
enum : uint32_t { kF32 = 0, kF16 = 1, kQ4_0 = 2, kQ4_1 = 3, kQ8_0 = 8, kBF16 = 30 };

constexpr std::array<GgufType, 6> kTypes = {
    {{kF32, 1, 4}, {kF16, 1, 2}, {kBF16, 1, 2}, {kQ8_0, 32, 34}, {kQ4_0, 32, 18}, {kQ4_1, 32, 20}}};

struct TypeName {
  uint32_t id;
  const char* name;
};
constexpr TypeName kNames[] = {
    {kF32, "F32"},   {kF16, "F16"},  {kQ4_0, "Q4_0"}, {kQ4_1, "Q4_1"}, {6, "Q5_0"},    {7, "Q5_1"},   {kQ8_0, "Q8_0"},
    {9, "Q8_1"},     {10, "Q2_K"},   {11, "Q3_K"},    {12, "Q4_K"},    {13, "Q5_K"},   {14, "Q6_K"},  {15, "Q8_K"},
    {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"},   {20, "IQ4_NL"}, {21, "IQ3_S"}, {22, "IQ2_S"},
    {23, "IQ4_XS"},  {24, "I8"},     {25, "I16"},     {26, "I32"},     {27, "I64"},    {28, "F64"},   {29, "IQ1_M"},
    {kBF16, "BF16"}, {34, "TQ1_0"},  {35, "TQ2_0"},   {39, "MXFP4"}};

template <class T>
T load(const std::byte* data) {
  T value;
  std::memcpy(&value, data, sizeof value);
  return value;
}

// The 4-bit types: 16 bytes of which the low halves are elements 0 to 15, the high halves 16 to 31. The product of an
// f16 and 4 bits is exact in f32, so a fused multiply-add gives the same value.
void dequantize_nibbles(const std::byte* nibbles, float scale, int zero, float low, float* out) {
  for (int i = 0; i < 16; ++i) {
    const int both = std::to_integer<int>(nibbles[i]);
    out[i] = scale * static_cast<float>((both & 0xf) - zero) + low;
    out[i + 16] = scale * static_cast<float>((both >> 4) - zero) + low;
  }
}

void dequantize_block(uint32_t type_id, const std::byte* block, float* out) {
  const float scale = f16_to_f32(load<uint16_t>(block));
  switch (type_id) {
    case kQ4_0:
      return dequantize_nibbles(block + 2, scale, 8, 0.0f, out);
    case kQ4_1:
      return dequantize_nibbles(block + 4, scale, 0, f16_to_f32(load<uint16_t>(block + 2)), out);
    default:
      for (int i = 0; i < 32; ++i) out[i] = scale * static_cast<float>(load<int8_t>(block + 2 + i));
  }
}

}  // namespace

const GgufType* find_gguf_type(uint32_t id) {
  for (const GgufType& type : kTypes) {
    if (type.id == id) return &type;
  }
  return nullptr;
}

std::string gguf_type_name(uint32_t id) {
  for (const TypeName& row : kNames) {
    if (row.id == id) return row.name;
  }
  return "type " + std::to_string(id);
}

std::string readable_gguf_types() {
  std::string names;
  for (const GgufType& type : kTypes) names += (names.empty() ? "" : " ") + gguf_type_name(type.id);
  return names;
}

std::vector<float> dequantize(uint32_t type_id, std::span<const std::byte> blocks) {
  const GgufType* type = find_gguf_type(type_id);
  NOREGRET_CHECK(type != nullptr, gguf_type_name(type_id));
  const size_t num_blocks = blocks.size() / static_cast<size_t>(type->block_bytes);
  std::vector<float> values(num_blocks * static_cast<size_t>(type->block_size));
  const std::byte* data = blocks.data();
  for (size_t i = 0; i < num_blocks; ++i, data += type->block_bytes) {
    float* out = values.data() + i * static_cast<size_t>(type->block_size);
    switch (type_id) {
      case kF32:
        *out = load<float>(data);
        break;
      case kF16:
        *out = f16_to_f32(load<uint16_t>(data));
        break;
      case kBF16:
        *out = bf16_to_f32(load<uint16_t>(data));
        break;
      default:
        dequantize_block(type_id, data, out);
    }
  }
  return values;
}

}  // namespace noregret
