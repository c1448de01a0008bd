#include "noregret/base/heap.h"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

namespace noregret {
namespace {

constexpr int kReserved = 1 << 30;    // bytes of addresses; memory is taken as it is written
constexpr int kUsualPad = 128 << 10;  // glibc's own

// Extends the heap and asks for large pages there, which madvise gives to what is not written yet. The allocator itself
// asks for them only where GLIBC_TUNABLES said so before the program began.
void reserve_large_pages() {
  char* const begin = static_cast<char*>(sbrk(0));
  mallopt(M_TOP_PAD, kReserved);
  void* volatile block = std::malloc(16 << 20);  // more than the heap has; volatile, or both calls are left out
  std::free(block);
  mallopt(M_TOP_PAD, kUsualPad);
  char* const end = static_cast<char*>(sbrk(0));
  if (end > begin) madvise(begin, static_cast<size_t>(end - begin), MADV_HUGEPAGE);
}

}  // namespace

void prepare_heap() {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the most that glibc takes
  mallopt(M_TRIM_THRESHOLD, -1);
  reserve_large_pages();
}

}  // namespace noregret
