#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace noregret {

// The test program's own open, write, fsync, close, rename, mkdir, ftruncate, unlink and their kin stand before libc's.
// They count what is done to files and folders, and fail where they are told to. io_fault_matrix_test.cc defines them.
enum class Fault { kNone, kKill, kErrorOnce, kErrorForEver, kDiskFull, kShortWrite, kInterrupted };

// From now on operations count from 1; the fault comes with operation `at`.
void arm_fault(Fault fault, int64_t at);
// Returns how many operations were counted.
int64_t disarm_fault();

// Called, on whatever thread, with the path of each folder before it is made; it may wait. 0 = go on, else the errno to
// fail with. Empty = none.
void watch_new_folders(std::function<int(const std::string& path)> watcher);

}  // namespace noregret
