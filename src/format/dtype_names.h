#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "noregret/format/safetensors.h"

namespace noregret {

std::optional<DType> dtype_from_name(std::string_view name);  // "F32"; empty for other names
std::string known_dtypes();                                   // "F64 F32 ..."

}  // namespace noregret
