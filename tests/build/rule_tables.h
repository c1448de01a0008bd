#pragma once

#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace noregret::build_rules {

using Names = std::set<std::string>;

// What each module may include of the others: the table in the README's map of the code.
inline const std::map<std::string, Names>& allowed_modules() {
  static const std::map<std::string, Names> table = {
      {"base", {}},
      {"kernels", {"base"}},
      {"format", {"base"}},
      {"http", {"base"}},
      {"tensor", {"base", "format"}},
      {"text", {"base", "format"}},
      {"grade", {"base"}},
      {"grade_worker", {"base", "grade"}},
      {"reward", {"base", "http"}},
      {"nn", {"base", "format", "tensor", "kernels"}},
      {"objective", {"base", "tensor"}},
      {"rollout", {"base", "tensor", "nn", "objective", "text", "reward"}},
      {"train", {"base", "tensor", "nn", "objective"}},
      {"dist", {"base", "tensor"}},
      {"config", {"base"}},
      {"run",
       {"base", "kernels", "format", "http", "tensor", "text", "grade", "reward", "nn", "objective", "rollout", "train",
        "dist", "config"}},
      {"main", {"base", "run"}},
      {"worker", {"base", "reward"}},
      {"envs", {"base", "text", "grade"}},
      {"rewards", {"base", "grade"}},
  };
  return table;
}

// Headers that a module sees of a module which it does not see otherwise.
inline bool is_single_exception(const std::string& module, const std::string& header) {
  static const std::regex options(R"(noregret/\w+/\w+_options\.h)");
  static const std::regex plugin_side(R"(noregret/reward/(abi|sdk\w*)\.h)");
  if (module == "envs") return header == "noregret/rollout/env.h";
  if (module == "rewards") return std::regex_match(header, plugin_side);
  return module == "config" && std::regex_match(header, options);
}

// Third-party headers by the beginning of their name, with the modules (or "module/file stem") that may see them. The
// longest beginning counts. An empty set: nobody, and `instead` says what to use.
struct ThirdParty {
  std::string prefix;
  Names users;
  std::string instead = "";
};

inline const std::vector<ThirdParty>& third_party() {
  static const Names kTensorModules = {"tensor", "nn", "objective", "rollout", "train", "dist", "run"};
  static const std::vector<ThirdParty> table = {
      {"nlohmann/", {"base"}, "use noregret/base/json.h"},
      {"zlib.h", {"base"}},
      {"openssl/", {"base"}},
      {"boost/", {"http"}},
      {"oniguruma.h", {"text"}},
      {"utf8proc.h", {"text"}},
      {"yaml-cpp/", {"config"}},
      {"CLI/", {"run"}},
      {"Eigen/", {"objective"}},
      {"dlfcn.h", {"reward", "grade/worker_path"}},
      {"re2/", {"rewards"}, "patterns of users are matched by the plugin `regex`"},
      {"gmp", {"grade", "grade_worker"}},
      {"flint/", {"grade_worker"}},
      {"acb.h", {"grade_worker"}},
      {"arb.h", {"grade_worker"}},
      {"calcium/", {"grade_worker"}},
      {"immintrin.h", {"kernels"}},
      {"ATen/", kTensorModules},
      {"c10/", kTensorModules},
      {"ATen/ATen.h", {}, "include the header of each operator, <ATen/ops/NAME.h>"},
      {"ATen/Functions.h", {}, "include the header of each operator, <ATen/ops/NAME.h>"},
      {"ATen/cuda/", {"tensor/cuda"}},
      {"c10/cuda/", {"tensor/device", "tensor/cuda"}},
      {"cuda", {"kernels", "tensor/device"}},
      {"cooperative_groups.h", {"kernels"}},
      {"torch/", {}, "torch/torch.h costs 21 s a file; include the ATen header that declares what is used"},
      {"torch/csrc/autograd/custom_function.h", {"nn"}},
      {"torch/csrc/autograd/", {"train"}},
      {"torch/csrc/distributed/c10d/", {"dist"}},
      {"gtest/", {}, "only tests use it"},
      {"gmock/", {}, "only tests use it"},
      {"sys/", {"base", "http", "reward", "rewards", "run", "tensor/device", "grade/worker", "grade_worker"}},
      {"linux/", {"rewards"}},
      {"unistd.h", {"base", "http", "reward", "rewards", "run", "tensor/device", "grade_worker"}},
      {"malloc.h", {"base/heap", "tensor/device"}},
      {"fcntl.h", {"base", "http", "reward", "run"}},
      {"poll.h", {"base", "http", "reward", "grade/worker"}},
      {"spawn.h", {"base"}},
      {"sched.h", {"base"}},
      {"signal.h", {"base", "reward", "run"}},
      {"pthread.h", {"base"}},
      {"stdint.h", {"rewards", "reward"}, "use <cstdint>; the C header is for the C border of plugins"},
      {"stddef.h", {"rewards", "reward"}, "use <cstddef>; the C header is for the C border of plugins"},
  };
  return table;
}

struct ForbiddenCode {
  std::string pattern;
  Names users;  // modules that may
  std::string why;
};

inline const std::vector<ForbiddenCode>& forbidden_code() {
  static const std::vector<ForbiddenCode> table = {
      {R"(torch::load|jit::load|[Pp]ickle)", {}, "these formats run code when they are read; use safetensors"},
      {R"(\b(system|popen)\s*\()", {}, "no shell; start programs with an argument list"},
      {R"(\bgetenv\s*\()", {"main"}, "only main reads the environment"},
      {R"(\bassert\s*\()", {}, "use NOREGRET_CHECK, which is on in every build"},
      {R"((\.|->|autograd::)backward\s*\()", {"train"}, "only the learner calls backward"},
      {R"(std::(cout|cerr|clog)\b|\b(printf|fprintf|puts)\s*\()",
       {"run", "main"},
       "a library returns, throws or reports to its sink"},
  };
  return table;
}

}  // namespace noregret::build_rules
