#pragma once

namespace noregret {

// For a program that does the same work again and again; before its first large block.
// - Blocks of up to 32 MiB that were freed stay with the C library's allocator, for who asks next. The system would
//   give them back page by page, cleared.
// - The heap's first GiB is mapped in pages of 2 MiB where the system has them (transparent_hugepage is "madvise" or
//   "always"): fewer addresses are looked up.
void prepare_heap();

}  // namespace noregret
