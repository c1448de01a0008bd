#include <array>

#include "format/dtype_names.h"
#include "noregret/base/check.h"
#include "noregret/format/safetensors.h"

namespace noregret {
namespace {

struct DTypeRow {
  DType dtype;
  std::string_view name;
  size_t size;  // bytes
};
constexpr std::array<DTypeRow, 10> kDTypes = {{{DType::kF64, "F64", 8},
                                               {DType::kF32, "F32", 4},
                                               {DType::kF16, "F16", 2},
                                               {DType::kBF16, "BF16", 2},
                                               {DType::kI64, "I64", 8},
                                               {DType::kI32, "I32", 4},
                                               {DType::kI16, "I16", 2},
                                               {DType::kI8, "I8", 1},
                                               {DType::kU8, "U8", 1},
                                               {DType::kBool, "BOOL", 1}}};

const DTypeRow& row_of(DType dtype) {
  for (const DTypeRow& row : kDTypes) {
    if (row.dtype == dtype) return row;
  }
  NOREGRET_CHECK(false, "dtype ", static_cast<int>(dtype));
  return kDTypes[0];
}

}  // namespace

size_t dtype_size(DType dtype) { return row_of(dtype).size; }
std::string_view dtype_name(DType dtype) { return row_of(dtype).name; }

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const DTypeRow& row : kDTypes) {
    if (row.name == name) return row.dtype;
  }
  return std::nullopt;
}

std::string known_dtypes() {
  std::string names;
  for (const DTypeRow& row : kDTypes) names += (names.empty() ? "" : " ") + std::string(row.name);
  return names;
}

}  // namespace noregret
