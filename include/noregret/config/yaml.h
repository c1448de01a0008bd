#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "noregret/base/fields.h"

namespace noregret {

// Strict YAML: one document, UTF-8 without control characters and noncharacters, at most 1 MiB and 32 levels; duplicate
// keys, keys without a colon, anchors, aliases and tags are refused. `file` is what locations name; a value in a map is
// located at its key. Throws ConfigError "<file>:<line>:<column>: ...".
Node parse_yaml(std::string_view text, const std::string& file);
Node load_yaml(const std::filesystem::path& path);  // ConfigError when the file is missing

// Sets one value: "optimizer.lr=1e-4", "rewards[0].weight=0", "adapter=none", "adapter.targets=[q_proj, v_proj]" (the
// value is YAML). Missing maps on the way are made; a list index must exist. Throws ConfigError "--set a.b=c: ...".
void apply_set(Node& root, const std::string& assignment);

// Block-style YAML that parse_yaml reads back to the same tree.
std::string to_yaml(const Json& value);

}  // namespace noregret
