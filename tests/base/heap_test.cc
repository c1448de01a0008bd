#include "noregret/base/heap.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "noregret/base/text.h"
#include "tests/support/sanitizer.h"

namespace noregret {
namespace {

// New pages of this process while it writes 4 blocks of 16 MiB, which it then frees.
int64_t pages_of_blocks() {
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  const std::vector<std::vector<char>> blocks(4, std::vector<char>(size_t{16} << 20, 1));
  getrusage(RUSAGE_SELF, &after);
  return after.ru_minflt - before.ru_minflt;
}

TEST(Heap, FreedMemoryIsKept) {
  if (kIsSanitized) GTEST_SKIP() << "a sanitizer has a heap of its own, which keeps what was freed";
  const auto child = [] {
    pages_of_blocks();
    const int64_t usual = pages_of_blocks();
    keep_freed_memory();
    pages_of_blocks();
    const int64_t kept = pages_of_blocks();
    std::fprintf(stderr, "%s", cat("new pages: ", usual, ", then ", kept).c_str());
    std::_Exit(usual > 4000 && kept < 40 ? 0 : 1);
  };
  EXPECT_EXIT(child(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace noregret
