#include "tests/build/include_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace noregret::build_rules {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The first rule that the line breaks in that file, or "".
std::string broken(const std::string& path, const std::string& line) {
  const auto rules = check_source(path, line);
  return rules.empty() ? "" : rules.front();
}

// ---- the tree

TEST(IncludeRules, HoldInEverySourceFile) {
  const std::filesystem::path root = NOREGRET_SOURCE_DIR;
  std::vector<std::string> all;
  int num_files = 0;
  for (const char* folder : {"include", "src", "envs", "rewards"}) {
    if (!std::filesystem::exists(root / folder)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / folder)) {
      const auto extension = entry.path().extension();
      if (extension != ".h" && extension != ".cc" && extension != ".cu") continue;
      const auto found =
          check_source(std::filesystem::relative(entry.path(), root).generic_string(), read(entry.path()));
      all.insert(all.end(), found.begin(), found.end());
      ++num_files;
    }
  }
  EXPECT_GT(num_files, 50);
  for (const std::string& rule : all) ADD_FAILURE() << rule;
}

TEST(IncludeRules, LinkLinesFollowTheSameTable) {
  EXPECT_THAT(check_link_lines(read(std::filesystem::path(NOREGRET_SOURCE_DIR) / "CMakeLists.txt")), IsEmpty());
}

// ---- the rules themselves

TEST(IncludeRules, TableHasNoCycle) {
  Names below;
  for (size_t before = 1; before != 0;) {
    before = 0;
    for (const auto& [module, seen] : allowed_modules()) {
      const bool stands_on_lower = std::includes(below.begin(), below.end(), seen.begin(), seen.end());
      if (stands_on_lower) before += below.insert(module).second ? 1 : 0;
    }
  }
  EXPECT_EQ(below.size(), allowed_modules().size());
}

TEST(IncludeRules, MessageNamesFileLineAndRule) {
  EXPECT_THAT(
      check_source("src/nn/a.cc", "#include <vector>\n\n#include \"noregret/rollout/env.h\"\n"),
      ElementsAre("src/nn/a.cc:3: #include of noregret/rollout/env.h: module nn sees only base format kernels tensor"));
}

TEST(IncludeRules, LowerLevelIsAllowed) {
  EXPECT_EQ(broken("include/noregret/nn/a.h", "#include \"noregret/tensor/tensor.h\""), "");
  EXPECT_EQ(broken("src/run/a.cc", "#include \"noregret/train/learner.h\""), "");
}

TEST(IncludeRules, HigherLevelIsRefused) {
  EXPECT_THAT(broken("src/base/a.cc", "#include \"noregret/format/gguf.h\""), HasSubstr("base sees only nobody"));
  EXPECT_THAT(broken("src/rollout/a.cc", "#include \"noregret/run/trainer.h\""), HasSubstr("rollout sees only"));
}

TEST(IncludeRules, SiblingIsRefused) {
  EXPECT_THAT(broken("src/train/a.cc", "#include \"noregret/rollout/sampler.h\""), HasSubstr("train sees only"));
  EXPECT_THAT(broken("src/text/a.cc", "#include \"noregret/tensor/tensor.h\""),
              HasSubstr("text sees only base format"));
}

TEST(IncludeRules, UnknownModuleIsRefused) {
  EXPECT_THAT(broken("src/misc/a.cc", "#include \"noregret/base/text.h\""), HasSubstr("not in the table of modules"));
}

TEST(IncludeRules, PrivateHeaderOfAnotherModuleIsRefused) {
  EXPECT_EQ(broken("src/nn/a.cc", "#include \"nn/names.h\""), "");
  EXPECT_THAT(broken("src/run/a.cc", "#include \"nn/names.h\""), HasSubstr("its own module alone"));
}

TEST(IncludeRules, PublicHeaderMayNotIncludeAPrivateOne) {
  EXPECT_THAT(broken("include/noregret/nn/a.h", "#include \"nn/names.h\""), HasSubstr("public header"));
}

TEST(IncludeRules, OptionsHeaderIncludesOnlyBase) {
  EXPECT_EQ(broken("include/noregret/nn/a_options.h", "#include \"noregret/base/fields.h\""), "");
  EXPECT_THAT(broken("include/noregret/nn/a_options.h", "#include \"noregret/tensor/tensor.h\""),
              HasSubstr("only base"));
}

TEST(IncludeRules, ConfigSeesOptionsHeadersOfAllModulesAndNothingElseOfThem) {
  EXPECT_EQ(broken("src/config/a.cc", "#include \"noregret/train/train_options.h\""), "");
  EXPECT_THAT(broken("src/config/a.cc", "#include \"noregret/train/learner.h\""), HasSubstr("config sees only base"));
}

TEST(IncludeRules, TaskSeesOfRolloutOnlyTheInterface) {
  EXPECT_EQ(broken("envs/x/x.cc", "#include \"noregret/rollout/env.h\""), "");
  EXPECT_THAT(broken("envs/x/x.cc", "#include \"noregret/rollout/sampler.h\""), HasSubstr("envs sees only"));
}

TEST(IncludeRules, PluginSeesOnlyItsBorderAndTheGrader) {
  EXPECT_EQ(broken("rewards/x/x.cc", "#include \"noregret/reward/abi.h\""), "");
  EXPECT_EQ(broken("rewards/x/x.cc", "#include \"noregret/grade/grade.h\""), "");
  EXPECT_THAT(broken("rewards/x/x.cc", "#include \"noregret/reward/rubric.h\""), HasSubstr("rewards sees only"));
}

TEST(IncludeRules, RunSeesTheRegistryOfTasksAndNoTask) {
  EXPECT_EQ(broken("src/run/a.cc", "#include \"envs/registry.h\""), "");
  EXPECT_NE(broken("src/run/a.cc", "#include \"envs/x/x.h\""), "");
}

TEST(IncludeRules, ThirdPartyHeaderIsForItsOneModule) {
  EXPECT_EQ(broken("src/base/a.cc", "#include <nlohmann/json.hpp>"), "");
  EXPECT_THAT(broken("src/run/a.cc", "#include <nlohmann/json.hpp>"), HasSubstr("use noregret/base/json.h"));
  EXPECT_THAT(broken("src/run/a.cc", "#include <yaml-cpp/yaml.h>"), HasSubstr("is for config"));
  EXPECT_THAT(broken("src/nn/a.cc", "#include <Eigen/Dense>"), HasSubstr("is for objective"));
  EXPECT_THAT(broken("src/base/a.cc", "#include <dlfcn.h>"), HasSubstr("is for grade/worker_path reward"));
}

TEST(IncludeRules, UnknownLibraryIsRefused) {
  EXPECT_THAT(broken("src/base/a.cc", "#include <fmt/core.h>"), HasSubstr("no row"));
}

TEST(IncludeRules, ModulesWithoutLibTorchIncludeNothingOfIt) {
  for (const char* module : {"base", "kernels", "format", "http", "text", "grade", "reward", "config"}) {
    const std::string path = std::string("src/") + module + "/a.cc";
    EXPECT_NE(broken(path, "#include <ATen/core/Tensor.h>"), "") << path;
    EXPECT_NE(broken(path, "#include <c10/util/Half.h>"), "") << path;
    EXPECT_NE(broken(path, "#include <torch/csrc/autograd/custom_function.h>"), "") << path;
  }
}

TEST(IncludeRules, WholeLibTorchHeadersAreRefusedEverywhere) {
  EXPECT_EQ(broken("src/nn/a.cc", "#include <ATen/ops/add.h>"), "");
  EXPECT_THAT(broken("src/nn/a.cc", "#include <ATen/ATen.h>"), HasSubstr("ATen/ops/NAME.h"));
  EXPECT_THAT(broken("src/run/a.cc", "#include <torch/torch.h>"), HasSubstr("21 s"));
}

TEST(IncludeRules, CudaHeadersAreForTheDeviceFilesOfTensor) {
  EXPECT_EQ(broken("src/tensor/device.cc", "#include <c10/cuda/CUDAFunctions.h>"), "");
  EXPECT_EQ(broken("src/tensor/device_cuda.cc", "#include <cuda_runtime_api.h>"), "");
  EXPECT_NE(broken("src/tensor/tensor.cc", "#include <c10/cuda/CUDAFunctions.h>"), "");
  EXPECT_NE(broken("src/nn/a.cc", "#include <cuda_runtime_api.h>"), "");
}

TEST(CodeRules, ReadersThatRunCodeAreRefused) {
  EXPECT_THAT(broken("src/nn/a.cc", "torch::load(x, path);"), HasSubstr("safetensors"));
  EXPECT_THAT(broken("src/nn/a.cc", "auto m = torch::jit::load(path);"), HasSubstr("safetensors"));
  EXPECT_THAT(broken("src/nn/a.cc", "torch::pickle_load(bytes);"), HasSubstr("safetensors"));
}

TEST(CodeRules, ShellIsRefused) {
  EXPECT_THAT(broken("src/run/a.cc", "  std::system(command.c_str());"), HasSubstr("src/run/a.cc:1: 'system('"));
  EXPECT_THAT(broken("src/base/a.cc", "FILE* f = popen (command, \"r\");"), HasSubstr("no shell"));
}

TEST(CodeRules, NamesThatEndInAForbiddenWordAreAllowed) {
  EXPECT_EQ(broken("src/base/a.cc", "make_filesystem(path); use_system(x);"), "");
}

TEST(CodeRules, OnlyTheLearnerCallsBackward) {
  EXPECT_EQ(broken("src/train/a.cc", "loss.backward();"), "");
  EXPECT_THAT(broken("src/objective/a.cc", "loss.backward();"), HasSubstr("only the learner"));
  EXPECT_EQ(broken("src/nn/a.cc", "static variable_list backward(AutogradContext* ctx);"), "");
}

TEST(CodeRules, LibraryNeitherPrintsNorReadsTheEnvironment) {
  EXPECT_THAT(broken("src/nn/a.cc", "std::cerr << x;"), HasSubstr("sink"));
  EXPECT_EQ(broken("src/run/a.cc", "std::printf(\"%s\", x);"), "");
  EXPECT_THAT(broken("src/base/a.cc", "std::getenv(\"HOME\");"), HasSubstr("only main"));
  EXPECT_EQ(broken("src/base/a.cc", "std::snprintf(buffer, size, x); static_assert(true);"), "");
}

TEST(SourceText, CommentsAndLiteralsAreNoCode) {
  EXPECT_EQ(broken("src/nn/a.cc", "// system(x)"), "");
  EXPECT_EQ(broken("src/nn/a.cc", "/* pickle\n system(x) */ int a;"), "");
  EXPECT_EQ(broken("src/nn/a.cc", "throw DataError(\"is a pickle; system(\\\"x\\\")\");"), "");
  EXPECT_EQ(broken("src/nn/a.cc", "auto s = R\"x(system(1) )\" )x\";"), "");
  EXPECT_EQ(broken("src/nn/a.cc", "// #include <torch/torch.h>"), "");
}

TEST(SourceText, CodeAfterALiteralIsSeenAtItsLine) {
  EXPECT_THAT(broken("src/nn/a.cc", "char q = '\"';\nint n = 1'000'000;\nsystem(\"x\");"), HasSubstr("src/nn/a.cc:3:"));
  EXPECT_THAT(broken("src/nn/a.cc", "/* a\n b */ system(x);"), HasSubstr("src/nn/a.cc:2:"));
}

TEST(LinkLines, ForbiddenDependencyIsNamed) {
  EXPECT_THAT(check_link_lines("noregret_module(nn DEPS base rollout\n LIBS x)"),
              ElementsAre("CMakeLists.txt: module nn may not link rollout"));
  EXPECT_THAT(check_link_lines("noregret_plugins(DEPS reward)"),
              ElementsAre("CMakeLists.txt: module rewards may not link reward"));
}

}  // namespace
}  // namespace noregret::build_rules
