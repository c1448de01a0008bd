#include "noregret/train/lr_law.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "noregret/base/error.h"
#include "tests/nn/nn_support.h"

namespace noregret {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

LrLawInput lora(int64_t hidden_size) {
  return {.hidden_size = hidden_size, .lora_alpha = 32.0, .is_rl = false, .num_steps = 1000};
}

TEST(LrLaw, GivesThePublishedRatesOfLlamaModels) {
  // 10 * 5e-5 * (2000 / D)^0.781, tinker-cookbook's get_lr for Llama-3.2-1B and 3B, Llama-3.1-8B and 70B.
  EXPECT_NEAR(lr_law(lora(2048)).lr, 4.9082e-4, 5e-9);
  EXPECT_NEAR(lr_law(lora(3072)).lr, 3.5760e-4, 5e-9);
  EXPECT_NEAR(lr_law(lora(4096)).lr, 2.8564e-4, 5e-9);
  EXPECT_NEAR(lr_law(lora(8192)).lr, 1.6623e-4, 5e-9);
}

TEST(LrLaw, FullFineTuningIsATenth) {
  LrLawInput full = lora(4096);
  full.lora_alpha.reset();
  EXPECT_DOUBLE_EQ(lr_law(full).lr * 10.0, lr_law(lora(4096)).lr);
  EXPECT_THAT(lr_law(full).explanation, Not(HasSubstr("LoRA")));
}

TEST(LrLaw, ShortRunsGetFifteenTimes) {
  LrLawInput input = lora(2048);
  const double longer = lr_law(input).lr;
  input.num_steps = 100;
  EXPECT_EQ(lr_law(input).lr, longer);
  input.num_steps = 99;
  EXPECT_DOUBLE_EQ(lr_law(input).lr, 1.5 * longer);
  EXPECT_THAT(lr_law(input).explanation, HasSubstr("* 15 for LoRA in under 100 steps"));
}

TEST(LrLaw, FullFineTuningDoesNotAskForTheSteps) {
  LrLawInput full = lora(2048);
  full.lora_alpha.reset();
  const double longer = lr_law(full).lr;
  full.num_steps = 10;
  EXPECT_EQ(lr_law(full).lr, longer);
}

TEST(LrLaw, FallsWithTheRootOfAlpha) {
  LrLawInput input = lora(2048);
  const double at_32 = lr_law(input).lr;
  EXPECT_THAT(lr_law(input).explanation, Not(HasSubstr("alpha")));
  input.lora_alpha = 128.0;
  EXPECT_DOUBLE_EQ(lr_law(input).lr, at_32 / 2.0);
  input.lora_alpha = 8.0;
  EXPECT_DOUBLE_EQ(lr_law(input).lr, at_32 * 2.0);
  EXPECT_THAT(lr_law(input).explanation, HasSubstr("* 2 for alpha 8 instead of 32"));
}

TEST(LrLaw, RlGetsAFifth) {
  LrLawInput input = lora(2048);
  const double sft = lr_law(input).lr;
  input.is_rl = true;
  EXPECT_DOUBLE_EQ(lr_law(input).lr, 0.2 * sft);
  EXPECT_THAT(lr_law(input).explanation, HasSubstr("* 0.2 for RL"));
}

TEST(LrLaw, SaysWhereItExtrapolates) {
  EXPECT_THAT(lr_law(lora(576)).explanation, HasSubstr("extrapolated"));
  EXPECT_THAT(lr_law(lora(999)).explanation, HasSubstr("extrapolated"));
  EXPECT_THAT(lr_law(lora(1000)).explanation, Not(HasSubstr("extrapolated")));
}

TEST(LrLaw, ExplanationIsOneLineThatBeginsWithTheRate) {
  const std::string text = lr_law(lora(2048)).explanation;
  EXPECT_THAT(text, AllOf(StartsWith("0.000491 (auto: "), HasSubstr("(2000 / 2048)^0.781"), Not(HasSubstr("\n"))));
}

TEST(LrLaw, RefusesWhatIsNoModel) {
  EXPECT_THROW(lr_law(lora(0)), std::logic_error);
  LrLawInput input = lora(2048);
  input.lora_alpha = 0.0;
  EXPECT_THROW(lr_law(input), std::logic_error);
}

TEST(ResolveLr, TakesANumberAsItStands) {
  EXPECT_EQ(resolve_lr("2e-3", lora(2048)).lr, 2e-3);
  EXPECT_EQ(resolve_lr("1", lora(2048)).lr, 1.0);
  EXPECT_EQ(resolve_lr("0.00012", lora(2048)).lr, 0.00012);
  EXPECT_THAT(resolve_lr("2e-3", lora(2048)).explanation,
              AllOf(StartsWith("0.002 "), HasSubstr("auto would be 0.000491")));
}

TEST(ResolveLr, AutoIsTheLaw) {
  EXPECT_EQ(resolve_lr("auto", lora(3072)).lr, lr_law(lora(3072)).lr);
  EXPECT_EQ(resolve_lr("auto", lora(3072)).explanation, lr_law(lora(3072)).explanation);
}

TEST(ResolveLr, RefusesEverythingElse) {
  for (const char* text :
       {"", "Auto", "0", "-1e-3", "nan", "inf", "1e999", "1e-999", "1e-3x", " 1e-3", "1,5", "0x10"}) {
    EXPECT_THAT(error_of<ConfigError>([&] { resolve_lr(text, lora(2048)); }),
                AllOf(HasSubstr("optimizer.lr is "), HasSubstr("want a positive number, or auto")))
        << text;
  }
}

}  // namespace
}  // namespace noregret
