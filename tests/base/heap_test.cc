#include "noregret/base/heap.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
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

// The flags of the mapping that holds the address, as the system lists them.
std::string flags_of(const void* address) {
  const auto wanted = reinterpret_cast<uintptr_t>(address);
  std::ifstream file("/proc/self/smaps");
  bool is_here = false;
  for (std::string line; std::getline(file, line);) {
    uintptr_t begin = 0, end = 0;
    if (std::sscanf(line.c_str(), "%zx-%zx ", &begin, &end) == 2) is_here = begin <= wanted && wanted < end;
    if (is_here && line.starts_with("VmFlags:")) return line + " ";
  }
  return "";
}

// Whether it gets them depends on the memory that is free; that it asks does not.
TEST(Heap, AsksForLargePages) {
  if (kIsSanitized) GTEST_SKIP() << "a sanitizer has a heap of its own";
  if (!std::filesystem::exists("/sys/kernel/mm/transparent_hugepage")) GTEST_SKIP() << "the system has none";
  const auto child = [] {
    prepare_heap();
    const std::vector<char> block(size_t{16} << 20, 1);
    const std::string flags = flags_of(&block[size_t{8} << 20]);
    std::fprintf(stderr, "%s", flags.c_str());
    std::_Exit(flags.find(" hg ") != std::string::npos ? 0 : 1);
  };
  EXPECT_EXIT(child(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace noregret
