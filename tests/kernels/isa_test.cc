#include "noregret/kernels/isa.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>

#include "kernels/inner.h"
#include "tests/kernels/kernel_cases.h"

namespace noregret::kernels {
namespace {

TEST(Isa, SupportedAscendFromPortable) {
  const std::vector<Isa> isas = supported_isas();
  ASSERT_FALSE(isas.empty());
  EXPECT_EQ(isas.front(), Isa::kPortable);
  EXPECT_TRUE(std::is_sorted(isas.begin(), isas.end()));
  EXPECT_EQ(std::adjacent_find(isas.begin(), isas.end()), isas.end());
}

TEST(Isa, TheLastSupportedIsCurrent) { EXPECT_EQ(current_isa(), supported_isas().back()); }

TEST(Isa, ForcingChangesTheLoops) {
  const Isa before = current_isa();
  for (const Isa isa : supported_isas()) {
    const ForcedIsa forced(isa);
    EXPECT_EQ(current_isa(), isa);
    const Inner& expected = isa == Isa::kPortable ? kPortableInner : isa == Isa::kAvx2 ? kAvx2Inner : kAvx512Inner;
    EXPECT_EQ(&inner(), &expected) << isa_name(isa);
  }
  EXPECT_EQ(current_isa(), before);
}

TEST(Isa, ForcingWhatTheCpuLacksIsABug) {
  const std::vector<Isa> isas = supported_isas();
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512}) {
    if (std::find(isas.begin(), isas.end(), isa) != isas.end()) continue;
    try {
      force_isa(isa);
      FAIL() << isa_name(isa) << " was forced";
    } catch (const std::logic_error& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr(std::string(isa_name(isa)) + " is not supported"));
    }
    EXPECT_EQ(current_isa(), isas.back());
  }
}

TEST(Isa, HasNames) {
  EXPECT_EQ(isa_name(Isa::kPortable), "portable");
  EXPECT_EQ(isa_name(Isa::kAvx2), "AVX2");
  EXPECT_EQ(isa_name(Isa::kAvx512), "AVX-512");
}

}  // namespace
}  // namespace noregret::kernels
