#include "noregret/base/heap.h"

#include <malloc.h>

namespace noregret {

void keep_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the most that glibc takes
  mallopt(M_TRIM_THRESHOLD, -1);
}

}  // namespace noregret
