#pragma once

#include <string>

// A seccomp program, as bytes, that refuses what a program under test does not need and what broke sandboxes before:
// tracing, mounts, namespaces, keys, bpf, io_uring, kernel modules, clocks, odd socket families, terminal injection.
// "" on a processor that it does not know.
std::string syscall_filter();
