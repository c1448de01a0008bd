#pragma once

namespace noregret {

// The C library's allocator gives blocks of up to 32 MiB that were freed to those who ask next, not to the system, from
// which they would come back page by page, cleared. For a program that does the same work again and again; before its
// first large block.
void keep_freed_memory();

}  // namespace noregret
