#include "noregret/base/heap.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
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
    prepare_heap();
    pages_of_blocks();
    const int64_t kept = pages_of_blocks();
    std::fprintf(stderr, "%s", cat("new pages: ", usual, ", then ", kept).c_str());
    std::_Exit(usual > 4000 && kept < 40 ? 0 : 1);
  };
  EXPECT_EXIT(child(), testing::ExitedWithCode(0), "");
}

bool has_large_pages() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string choices;
  std::getline(file, choices);
  return choices.find("[madvise]") != std::string::npos || choices.find("[always]") != std::string::npos;
}

TEST(Heap, FirstBlocksLieInLargePages) {
  if (kIsSanitized) GTEST_SKIP() << "a sanitizer has a heap of its own";
  if (!has_large_pages()) GTEST_SKIP() << "the system gives no large pages";
  const auto child = [] {
    prepare_heap();
    const int64_t count = pages_of_blocks();
    std::fprintf(stderr, "%s", cat("new pages: ", count).c_str());
    std::_Exit(count < 4000 ? 0 : 1);  // 32 large ones, or 16,384: a busy system may have no large one left
  };
  EXPECT_EXIT(child(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace noregret
