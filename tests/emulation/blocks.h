#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

// Blocks of a CUDA kernel on the CPU. A block's threads are fibers of one thread of the system, which go on in turn
// from barrier to barrier, in ascending order in one block and in descending order in the next, so that what a barrier
// is missing for shows. Two blocks, or those of a cluster, run at the same time. What no kernel may do ends the process
// with a line: a barrier that not all threads reach, a lane that has left its warp when the others exchange values, too
// much shared memory. What cannot be seen here: how fast it is, what launches that overlap do, and reads of the memory
// of a block of a cluster that has ended.
namespace emulation {

struct Size {
  unsigned x = 1, y = 1, z = 1;
};
struct Launch {
  const char* name;
  Size grid, cluster;
  int num_threads;
  size_t shared_bytes;
};
// One at a time; returns when all blocks have ended.
void run(const Launch& launch, const std::function<void()>& kernel);

// ---- for a kernel's threads

constexpr int kLanes = 32;

struct Place {
  Size thread{0, 0, 0}, block{0, 0, 0}, block_size, grid;
};
inline constinit thread_local Place place;  // of the thread that runs

void wait_for_block();
void wait_for_cluster();
bool is_all(bool value);  // of the block

// What every lane of the warp gives, in the order of lanes, for this lane until its next exchange.
struct Words {
  uint32_t word[6];
};
const Words* exchange(const Words& own);

void* shared_memory();                                 // of the block, 16-byte aligned
void* in_block(const void* shared, unsigned of_rank);  // where another block of the cluster has it
unsigned block_rank();                                 // in the cluster

}  // namespace emulation
