#include "tensor/control_group.h"

#include <gtest/gtest.h>

#include <fstream>
#include <limits>

#include "noregret/tensor/device.h"
#include "tests/support/scratch.h"

namespace noregret {
namespace {

constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

class ControlGroup : public testing::Test {
 protected:
  void write(const std::string& group, const std::string& limit, const std::string& in_use, const std::string& stat) {
    const std::filesystem::path folder = scratch_.path() / group;
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "memory.max") << limit << "\n";
    std::ofstream(folder / "memory.current") << in_use << "\n";
    std::ofstream(folder / "memory.stat") << stat;
  }
  uint64_t free_of(const std::string& group) const { return control_group_free_bytes(scratch_.path(), group); }

  ScratchDir scratch_;
};

TEST_F(ControlGroup, LeavesItsLimitLessWhatIsInUseAndCannotBeDropped) {
  write("a", "1000", "700", "anon 500\ninactive_file 150\nactive_file 50\n");
  EXPECT_EQ(free_of("/a"), 1000u - 700u + 150u);
}

TEST_F(ControlGroup, TheTightestOfTheGroupsAboveCounts) {
  write("a", "900", "500", "inactive_file 0\n");
  write("a/b", "max", "100", "inactive_file 0\n");
  write("a/b/c", "5000", "100", "inactive_file 0\n");
  EXPECT_EQ(free_of("/a/b/c"), 400u);
}

TEST_F(ControlGroup, BeyondItsLimitNothingIsLeft) {
  write("a", "900", "1200", "inactive_file 100\n");
  EXPECT_EQ(free_of("/a"), 0u);
}

TEST_F(ControlGroup, WithoutALimitOrAGroupEverythingIsLeft) {
  write("a", "max", "1200", "");
  EXPECT_EQ(free_of("/a"), kUnlimited);
  EXPECT_EQ(free_of("/absent"), kUnlimited);
  EXPECT_EQ(free_of(""), kUnlimited);
}

TEST(FreeMemory, IsSomeOfTheMachines) {
  const uint64_t free = free_memory_bytes(at::kCPU);
  EXPECT_GT(free, 1u << 20);
  EXPECT_LT(free, uint64_t{1} << 50);
}

}  // namespace
}  // namespace noregret
