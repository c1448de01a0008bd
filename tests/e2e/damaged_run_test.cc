// Runs whose newest checkpoint is damaged, and who may read a run.
#include <sys/stat.h>

#include "tests/e2e/bad_input.h"

namespace noregret::e2e {
namespace {

using testing::AllOf;
using testing::HasSubstr;

using Args = std::vector<std::string>;

// A run that saved after steps 0, 2 and 4; the last one is cut off.
class DamagedRun : public testing::TestWithParam<std::pair<const char*, Args>> {
 protected:
  DamagedRun() {
    output_of(folder_.path(), {"train", "sft.yaml", "--run-dir", "run"});
    cut_in_half(folder_.path() / "run/checkpoints/step_000004/adapter_model.safetensors");
  }

  WorkDir folder_;
};

// Whatever RUN stands for is named in place of the run.
Args with(Args args, const std::string& run) {
  for (std::string& arg : args) {
    const size_t at = arg.find("RUN");
    if (at != std::string::npos) arg.replace(at, 3, run);
  }
  return args;
}

INSTANTIATE_TEST_SUITE_P(At, DamagedRun,
                         testing::Values(std::pair("export", Args{"export", "RUN", "out"}),
                                         std::pair("eval", call("eval") + Args{"--adapter", "RUN"}),
                                         std::pair("generate", call("generate") + Args{"--adapter", "RUN"}),
                                         std::pair("score", call("score") + Args{"--adapter", "RUN"}),
                                         std::pair("check", call("check") + Args{"--set", "adapter.init_from=RUN"}),
                                         std::pair("train", call("train") + Args{"--steps", "0", "--set",
                                                                                 "adapter.init_from=RUN"})),
                         [](const auto& info) { return info.param.first; });

TEST_P(DamagedRun, TheOlderCheckpointIsTakenAndToldInOneLine) {
  const ProcessResult result = run(folder_.path(), with(GetParam().second, "run"));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  int num_told = 0;
  for (const std::string& line : lines_of(result.err)) {
    if (line.find("step_000004") == std::string::npos) continue;
    ++num_told;
    EXPECT_THAT(line, AllOf(testing::StartsWith("warning: "), HasSubstr("adapter_model.safetensors: "),
                            testing::EndsWith("run/checkpoints/step_000002")));
  }
  EXPECT_EQ(num_told, 1) << result.err;
}

TEST_P(DamagedRun, TheCheckpointItselfIsAnError) {
  const ProcessResult result = run(folder_.path(), with(GetParam().second, "run/checkpoints/step_000004"));
  EXPECT_EQ(result.exit_code, 65) << result.err;
  EXPECT_THAT(lines_of(result.err).back(), HasSubstr("adapter_model.safetensors: "));
}

TEST(ReplayOfADamagedRun, StartsFromTheOlderCheckpoint) {
  const WorkDir folder;
  output_of(folder.path(), {"train", "sft.yaml", "--run-dir", "run"});
  cut_in_half(folder.path() / "run/checkpoints/step_000002/optimizer.safetensors");
  const ProcessResult result = run(folder.path(), {"replay", "run", "--step", "3"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, AllOf(HasSubstr("warning: run/checkpoints/step_000002/optimizer.safetensors: "),
                                HasSubstr("; taking run/checkpoints/step_000000\n")));
  cut_in_half(folder.path() / "run/checkpoints/step_000000/optimizer.safetensors");
  EXPECT_EQ(run(folder.path(), {"replay", "run", "--step", "3"}).exit_code, 65);
}

// --- Who may read it

class Umask {
 public:
  explicit Umask(mode_t mask) : before_(umask(mask)) {}
  ~Umask() { umask(before_); }

 private:
  mode_t before_;
};

TEST(PrivateRun, NobodyElseMayReadItWhateverTheUmask) {
  for (const mode_t mask : {0, 022, 027}) {
    const WorkDir folder;
    const Umask all(mask);
    output_of(folder.path(), {"train", "rl.yaml", "--run-dir", "run", "--steps", "2"});
    EXPECT_EQ(fs::status(folder.path() / "run").permissions(), fs::perms::owner_all);
    for (const auto& entry : fs::recursive_directory_iterator(folder.path() / "run")) {
      const fs::perms want =
          entry.is_directory() ? fs::perms::owner_all : fs::perms::owner_read | fs::perms::owner_write;
      EXPECT_EQ(entry.status().permissions(), want) << entry.path();
    }
    output_of(folder.path(), {"export", "run", "out"});
    EXPECT_EQ(static_cast<mode_t>(fs::status(folder.path() / "out").permissions()), 0777 & ~mask);
    EXPECT_EQ(static_cast<mode_t>(fs::status(folder.path() / "out/adapter_config.json").permissions()), 0666 & ~mask);
  }
}

}  // namespace
}  // namespace noregret::e2e
