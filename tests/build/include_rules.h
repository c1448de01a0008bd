#pragma once

#include <algorithm>
#include <optional>
#include <regex>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/build/rule_tables.h"
#include "tests/build/source_text.h"

namespace noregret::build_rules {

inline std::string join(const Names& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : " ") + name;
  return text.empty() ? "nobody" : text;
}

// "include/noregret/nn/ops.h", "src/nn/ops.cc" -> "nn"; "envs/..." -> "envs"; "src/main.cc" -> "main"; "" for other
// files.
inline std::string module_of(const std::string& path) {
  static const std::regex module_file(R"((?:include/noregret|src)/(\w+)/.*)");
  std::smatch match;
  if (std::regex_match(path, match, module_file)) return match[1];
  if (path == "src/main.cc") return "main";
  if (path == "src/reward_worker.cc") return "worker";
  for (const std::string folder : {"envs", "rewards"}) {
    if (path.starts_with(folder + "/")) return folder;
  }
  return "";
}

// "src/tensor/device_cuda.cc" -> "tensor/device_cuda".
inline std::string stem_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return module_of(path) + path.substr(slash, path.rfind('.') - slash);
}

// The first component of a path: "nn/ops.h" -> "nn".
inline std::string first_folder(const std::string& path) { return path.substr(0, path.find('/')); }

inline std::optional<std::string> check_own_header(const std::string& path, const std::string& header) {
  const std::string module = module_of(path);
  const std::string other = first_folder(header.substr(std::string("noregret/").size()));
  if (path.ends_with("_options.h") && other != "base" && module != "config") {
    return "an *_options.h header may include only base";
  }
  if (other == module || is_single_exception(module, header)) return std::nullopt;
  const auto row = allowed_modules().find(module);
  if (row == allowed_modules().end()) return "module " + module + " is not in the table of modules";
  if (row->second.contains(other)) return std::nullopt;
  return "module " + module + " sees only " + join(row->second);
}

// "envs/registry.h", "nn/adapter_names.h": headers outside include/.
inline std::optional<std::string> check_private_header(const std::string& path, const std::string& header) {
  const std::string module = module_of(path);
  const std::string folder = first_folder(header);
  if (path.starts_with("include/")) return "a public header may not include a private one";
  if (folder == module) return std::nullopt;
  if (module == "run" && header == "envs/registry.h") return std::nullopt;
  if (folder == header && module == "rewards") return std::nullopt;  // a plugin's header beside its source
  return "a private header is seen by its own module alone; name it by its path, \"" + module + "/...\"";
}

inline std::optional<std::string> check_library_header(const std::string& path, const std::string& header) {
  static const std::regex standard(R"([a-z0-9_]+)");
  if (std::regex_match(header, standard)) return std::nullopt;
  const ThirdParty* rule = nullptr;
  for (const ThirdParty& row : third_party()) {
    if (header.starts_with(row.prefix) && (rule == nullptr || row.prefix.size() > rule->prefix.size())) rule = &row;
  }
  if (rule == nullptr) return "this library is in no row of the table of third-party headers";
  const std::string stem = stem_of(path);
  const bool is_user = std::any_of(rule->users.begin(), rule->users.end(), [&](const std::string& user) {
    return user == module_of(path) || (user.find('/') != std::string::npos && stem.starts_with(user));
  });
  if (is_user) return std::nullopt;
  return "<" + rule->prefix + "...> is for " + join(rule->users) + (rule->instead.empty() ? "" : "; " + rule->instead);
}

inline std::optional<std::string> check_include(const std::string& path, const std::string& line) {
  static const std::regex include(R"re(\s*#\s*include\s*([<"])([^>"]+)[>"].*)re");
  std::smatch match;
  if (!std::regex_match(line, match, include)) return std::nullopt;
  const std::string header = match[2];
  std::optional<std::string> broken;
  if (header.starts_with("noregret/")) {
    broken = check_own_header(path, header);
  } else {
    broken = match[1] == "<" ? check_library_header(path, header) : check_private_header(path, header);
  }
  if (broken) broken = "#include of " + header + ": " + *broken;
  return broken;
}

inline std::optional<std::string> check_code(const std::string& path, const std::string& line) {
  for (const ForbiddenCode& row : forbidden_code()) {
    std::smatch match;
    if (!row.users.contains(module_of(path)) && std::regex_search(line, match, std::regex(row.pattern))) {
      return "'" + match.str() + "': " + row.why;
    }
  }
  return std::nullopt;
}

// All broken rules of a file as "path:line: rule".
inline std::vector<std::string> check_source(const std::string& path, std::string_view source) {
  std::vector<std::string> broken;
  const std::string code = code_only(source);
  int line_number = 0;
  for (size_t begin = 0; begin < code.size();) {
    const size_t end = std::min(code.find('\n', begin), code.size());
    const std::string line = code.substr(begin, end - begin);
    ++line_number;
    begin = end + 1;
    for (const auto& rule : {check_include(path, line), check_code(path, line)}) {
      if (rule) broken.push_back(path + ":" + std::to_string(line_number) + ": " + *rule);
    }
  }
  return broken;
}

// Rules broken by the `noregret_module(name DEPS ...)` lines of a CMakeLists.txt.
inline std::vector<std::string> check_link_lines(const std::string& cmake) {
  static const std::regex call(R"(noregret_(module|envs|plugins)\(\s*([^)]*)\))");
  std::vector<std::string> broken;
  for (std::sregex_iterator it(cmake.begin(), cmake.end(), call), end; it != end; ++it) {
    std::istringstream words((*it)[2]);
    std::string module = (*it)[1] == "envs" ? "envs" : (*it)[1] == "plugins" ? "rewards" : "";
    if (module.empty()) words >> module;
    bool in_deps = false;
    for (std::string word; words >> word;) {
      if (word == "DEPS" || word == "LIBS") {
        in_deps = word == "DEPS";
      } else if (in_deps) {
        const auto row = allowed_modules().find(module);
        const bool is_link_only = (module == "envs" && word == "rollout") || (module == "run" && word == "envs");
        if (!is_link_only && (row == allowed_modules().end() || !row->second.contains(word))) {
          broken.push_back("CMakeLists.txt: module " + module + " may not link " + word);
        }
      }
    }
  }
  return broken;
}

}  // namespace noregret::build_rules
