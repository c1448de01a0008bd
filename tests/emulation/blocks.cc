#undef _FORTIFY_SOURCE  // which takes a jump from stack to stack for a mistake

#include "tests/emulation/blocks.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <barrier>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

namespace emulation {
namespace {

constexpr size_t kStackBytes = size_t{64} << 10;
constexpr size_t kMaxSharedBytes = size_t{36} << 10;
constexpr unsigned kBlocksAtOnce = 2;

[[noreturn]] void fail(const Launch& launch, const char* what) {
  std::fprintf(stderr, "kernel %s: %s\n", launch.name, what);
  std::abort();
}

// Threads that go on together when the last of them has come.
struct Barrier {
  int num_waiting = 0;
  uint64_t generation = 0;
};

struct Fiber {
  jmp_buf at;
  ucontext_t start;
  bool has_started = false, has_ended = false;
  const Barrier* waits_for = nullptr;
  uint64_t generation = 0;  // of that barrier, when it came
  int num_exchanges = 0;
};

struct Warp {
  Barrier barrier;
  int num_alive = 0;
  Words words[2][kLanes];  // those of one exchange are read while the next are written
};

// Of a cluster's blocks, each of which a thread of the system runs.
struct Cluster {
  explicit Cluster(unsigned num_blocks) : barrier(num_blocks), origins(num_blocks) {}
  std::barrier<> barrier;
  std::vector<const char*> origins;  // an address in each one's shared memory
};

class Block;
thread_local Block* block = nullptr;
alignas(16) thread_local char dynamic_memory[kMaxSharedBytes];

class Block {
 public:
  Block(const Launch& launch, const std::function<void()>& kernel, Cluster* cluster, unsigned rank)
      : launch_(launch),
        kernel_(kernel),
        cluster_(cluster),
        rank_(rank),
        fibers_(static_cast<size_t>(launch.num_threads)),
        warps_(static_cast<size_t>(launch.num_threads / kLanes)) {
    void* stacks =
        mmap(nullptr, fibers_.size() * kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stacks == MAP_FAILED) fail(launch_, "no memory for its threads");
    stacks_ = static_cast<char*>(stacks);
    for (size_t i = 0; i < fibers_.size(); ++i) prepare(fibers_[i], stacks_ + i * kStackBytes);
    block = this;
  }
  ~Block() {
    munmap(stacks_, fibers_.size() * kStackBytes);
    block = nullptr;
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  void run(Index index) {
    index_ = index;
    std::memset(dynamic_memory, 0xff, launch_.shared_bytes);  // NaN, if it is read before it is written
    num_alive_ = launch_.num_threads;
    for (Warp& warp : warps_) warp.num_alive = kLanes;
    for (Fiber& fiber : fibers_) fiber.has_ended = false;
    const bool descends = (index.x + index.y + index.z) % 2 != 0;
    const int num_warps = static_cast<int>(warps_.size());
    while (num_alive_ > 0) {
      bool moved = false;
      for (int w = 0; w < num_warps; ++w) moved |= run_warp(descends ? num_warps - 1 - w : w, descends);
      if (!moved) fail(launch_, "threads wait at a barrier that others never reach");
    }
  }

  Index thread() const { return {static_cast<unsigned>(current_), 0, 0}; }
  Index index() const { return index_; }
  const Launch& launch() const { return launch_; }
  unsigned rank() const { return rank_; }

  void wait_for_all() { wait(barrier_, num_alive_); }

  // The last of the block's threads waits for the other blocks, in place of all.
  void wait_for_cluster() {
    if (cluster_ == nullptr) fail(launch_, "has no cluster");
    cluster_waits_ = barrier_.num_waiting + 1 < num_alive_;
    if (!cluster_waits_) cluster_->barrier.arrive_and_wait();
    wait_for_all();
  }

  bool is_all(bool value) {
    const uint64_t vote = barrier_.generation + 1;
    if (!value) last_no_ = vote;
    wait_for_all();
    const bool result = last_no_ != vote;
    wait_for_all();  // all have read it
    return result;
  }

  const Words* exchange(const Words& own) {
    Fiber& fiber = fibers_[current_];
    Warp& warp = warps_[current_ / kLanes];
    Words* words = warp.words[fiber.num_exchanges++ % 2];
    words[current_ % kLanes] = own;
    if (warp.num_alive != kLanes) fail(launch_, "a warp exchanges values, and some of its lanes have left");
    wait(warp.barrier, kLanes);
    return words;
  }

  void* in_block(const void* shared, unsigned of_rank) const {
    return const_cast<char*>(cluster_->origins[of_rank] + (static_cast<const char*>(shared) - dynamic_memory));
  }

 private:
  // A fiber runs block after block.
  static void enter() {
    for (Block* own = block;;) {
      own->kernel_();
      own->leave();
    }
  }

  static void prepare(Fiber& fiber, char* stack) {
    getcontext(&fiber.start);
    fiber.start.uc_stack.ss_sp = stack;
    fiber.start.uc_stack.ss_size = kStackBytes;
    fiber.start.uc_link = nullptr;
    makecontext(&fiber.start, &Block::enter, 0);
  }

  bool run_warp(int warp, bool descends) {
    bool moved = false;
    for (bool moves = true; moves; moved |= moves) {
      moves = false;
      for (int i = 0; i < kLanes; ++i) {
        const int idx = warp * kLanes + (descends ? kLanes - 1 - i : i);
        const Fiber& fiber = fibers_[idx];
        if (fiber.has_ended || (fiber.waits_for != nullptr && fiber.waits_for->generation == fiber.generation))
          continue;
        moves = true;
        resume(idx);
      }
    }
    return moved;
  }

  // The scheduler's side of a switch, and a fiber's. _setjmp() and _longjmp() save no signal mask, which would be a
  // call of the system each time.
  [[gnu::noinline]] void resume(int idx) {
    current_ = idx;
    if (_setjmp(scheduler_) != 0) return;
    Fiber& fiber = fibers_[idx];
    if (fiber.has_started) _longjmp(fiber.at, 1);
    fiber.has_started = true;
    setcontext(&fiber.start);
  }
  [[gnu::noinline]] void pause() {
    if (_setjmp(fibers_[current_].at) == 0) _longjmp(scheduler_, 1);
  }

  void wait(Barrier& barrier, int num_threads) {
    if (++barrier.num_waiting == num_threads) return open(barrier);
    Fiber& fiber = fibers_[current_];
    fiber.waits_for = &barrier;
    fiber.generation = barrier.generation;
    pause();
    fibers_[current_].waits_for = nullptr;
  }
  static void open(Barrier& barrier) {
    barrier.num_waiting = 0;
    ++barrier.generation;
  }

  // As on the device, the others do not wait for a thread that has left.
  void leave() {
    Warp& warp = warps_[current_ / kLanes];
    if (warp.barrier.num_waiting > 0) fail(launch_, "a lane leaves while others of its warp exchange values");
    if (cluster_waits_) fail(launch_, "a thread leaves while others wait for the cluster");
    fibers_[current_].has_ended = true;
    --warp.num_alive;
    if (--num_alive_ > 0 && barrier_.num_waiting == num_alive_) open(barrier_);
    pause();
  }

  const Launch& launch_;
  const std::function<void()>& kernel_;
  Cluster* cluster_;
  unsigned rank_;
  std::vector<Fiber> fibers_;
  std::vector<Warp> warps_;
  char* stacks_ = nullptr;
  Index index_;
  int current_ = 0, num_alive_ = 0;
  bool cluster_waits_ = false;
  uint64_t last_no_ = 0;  // the vote in which a thread said no
  Barrier barrier_;
  jmp_buf scheduler_;
};

Index index_of(uint64_t number, const Size& grid) {
  return {static_cast<unsigned>(number % grid.x), static_cast<unsigned>(number / grid.x % grid.y),
          static_cast<unsigned>(number / grid.x / grid.y)};
}

}  // namespace

void run(const Launch& launch, const std::function<void()>& kernel) {
  if (launch.num_threads % kLanes != 0) fail(launch, "its blocks are no whole warps");
  if (launch.shared_bytes > kMaxSharedBytes) fail(launch, "more shared memory than a block has");
  const Size& c = launch.cluster;
  const unsigned cluster_size = c.x * c.y * c.z;
  const bool is_clustered = cluster_size > 1;
  const Size clusters{launch.grid.x / c.x, launch.grid.y / c.y, launch.grid.z / c.z};
  const uint64_t num_clusters = uint64_t{clusters.x} * clusters.y * clusters.z;
  const unsigned num_workers =
      is_clustered ? cluster_size : static_cast<unsigned>(std::min<uint64_t>(kBlocksAtOnce, num_clusters));
  Cluster cluster(num_workers);
  const auto work = [&](unsigned rank) {
    Block own(launch, kernel, is_clustered ? &cluster : nullptr, is_clustered ? rank : 0);
    cluster.origins[rank] = dynamic_memory;
    cluster.barrier.arrive_and_wait();
    const Index in_cluster = is_clustered ? index_of(rank, c) : Index{};
    for (uint64_t i = is_clustered ? 0 : rank; i < num_clusters; i += is_clustered ? 1 : num_workers) {
      const Index of = index_of(i, clusters);
      own.run({of.x * c.x + in_cluster.x, of.y * c.y + in_cluster.y, of.z * c.z + in_cluster.z});
      if (is_clustered) cluster.barrier.arrive_and_wait();
    }
  };
  std::vector<std::jthread> workers;
  for (unsigned rank = 0; rank < num_workers; ++rank) workers.emplace_back(work, rank);
}

Index thread_index() { return block->thread(); }
Index block_index() { return block->index(); }
Size block_size() { return {static_cast<unsigned>(block->launch().num_threads), 1, 1}; }
Size grid_size() { return block->launch().grid; }
void wait_for_block() { block->wait_for_all(); }
void wait_for_cluster() { block->wait_for_cluster(); }
bool is_all(bool value) { return block->is_all(value); }
const Words* exchange(const Words& own) { return block->exchange(own); }
void* shared_memory() { return dynamic_memory; }
void* in_block(const void* shared, unsigned of_rank) { return block->in_block(shared, of_rank); }
unsigned block_rank() { return block->rank(); }

}  // namespace emulation
