#include "tests/emulation/blocks.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <barrier>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

namespace emulation {
namespace {

constexpr size_t kStackBytes = size_t{64} << 10;
constexpr size_t kMaxSharedBytes = size_t{36} << 10;
constexpr unsigned kMaxWorkers = 8;  // blocks of a cluster
constexpr unsigned kBlocksAtOnce = 2;

[[noreturn]] void refuse(const Launch& launch, const char* what) {
  std::fprintf(stderr, "kernel %s: %s\n", launch.name, what);
  std::abort();
}

// Threads that go on together when the last of them has come.
struct Barrier {
  int num_waiting = 0;
  uint64_t generation = 0;
};

struct Fiber {
  void* at[5];  // __builtin_setjmp()'s
  char* stack = nullptr;
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

// Of a cluster's blocks.
struct Cluster {
  explicit Cluster(unsigned num_blocks) : barrier(num_blocks), origins(num_blocks) {}
  std::barrier<> barrier;
  std::vector<const char*> origins;  // dynamic_memory of each
};

alignas(16) thread_local char dynamic_memory[kMaxSharedBytes];

// Runs the blocks that a thread of the system gets, one after the other, on fibers that stay for the next.
class Worker {
 public:
  void begin(const Launch& launch, const std::function<void()>& kernel, Cluster* cluster, unsigned rank) {
    launch_ = &launch;
    kernel_ = &kernel;
    cluster_ = cluster;
    rank_ = rank;
    place.grid = launch.grid;
    place.block_size = {static_cast<unsigned>(launch.num_threads), 1, 1};
    while (std::ssize(fibers_) < launch.num_threads) add_fiber();
    num_warps_ = launch.num_threads / kLanes;
    if (std::ssize(warps_) < num_warps_) warps_.resize(static_cast<size_t>(num_warps_));
  }

  void run_block(Size index) {
    place.block = index;
    std::memset(dynamic_memory, 0xff, launch_->shared_bytes);  // NaN, if it is read before it is written
    num_alive_ = launch_->num_threads;
    for (int w = 0; w < num_warps_; ++w) warps_[w].num_alive = kLanes;
    for (int i = 0; i < num_alive_; ++i) fibers_[i].has_ended = false;
    const bool descends = (index.x + index.y + index.z) % 2 != 0;
    while (num_alive_ > 0) {
      bool moved = false;
      for (int w = 0; w < num_warps_; ++w) moved |= run_warp(descends ? num_warps_ - 1 - w : w, descends);
      if (!moved) fail("threads wait at a barrier that others never reach");
    }
  }

  unsigned rank() const { return rank_; }

  void wait_for_all() { wait(barrier_, num_alive_); }

  // The last of the block's threads waits for the other blocks, in place of all.
  void wait_for_cluster() {
    if (cluster_ == nullptr) fail("has no cluster");
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
    if (warp.num_alive != kLanes) fail("a warp exchanges values, and some of its lanes have left");
    wait(warp.barrier, kLanes);
    return words;
  }

  void* in_block(const void* shared, unsigned of_rank) const {
    return const_cast<char*>(cluster_->origins[of_rank] + (static_cast<const char*>(shared) - dynamic_memory));
  }

 private:
  [[noreturn]] void fail(const char* what) const { refuse(*launch_, what); }

  void add_fiber() {
    void* stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED) fail("no memory for its threads");
    fibers_.push_back({.stack = static_cast<char*>(stack)});
  }
  // A fiber runs a thread of one block, then of the next, until the process ends.
  static void live();

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

  // The worker's side of a switch, and a fiber's. The compiler's own jump is a handful of instructions; libc's asks the
  // thread for its cleanups each time.
  [[gnu::noinline]] void resume(int idx) {
    current_ = idx;
    place.thread.x = static_cast<unsigned>(idx);
    if (__builtin_setjmp(at_) == 0) go_to(fibers_[idx]);
  }
  [[gnu::noinline]] void pause() {
    if (__builtin_setjmp(fibers_[current_].at) == 0) go_back();
  }
  [[gnu::noinline]] void go_to(Fiber& fiber) {
    if (fiber.has_started) __builtin_longjmp(fiber.at, 1);
    fiber.has_started = true;
    ucontext_t start;
    getcontext(&start);
    start.uc_stack.ss_sp = fiber.stack;
    start.uc_stack.ss_size = kStackBytes;
    start.uc_link = nullptr;
    makecontext(&start, &Worker::live, 0);
    setcontext(&start);
  }
  [[gnu::noinline]] void go_back() { __builtin_longjmp(at_, 1); }

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
    if (warp.barrier.num_waiting > 0) fail("a lane leaves while others of its warp exchange values");
    if (cluster_waits_) fail("a thread leaves while others wait for the cluster");
    fibers_[current_].has_ended = true;
    --warp.num_alive;
    if (--num_alive_ > 0 && barrier_.num_waiting == num_alive_) open(barrier_);
    pause();
  }

  const Launch* launch_ = nullptr;
  const std::function<void()>* kernel_ = nullptr;
  Cluster* cluster_ = nullptr;
  unsigned rank_ = 0;
  std::deque<Fiber> fibers_;  // their addresses stay
  std::deque<Warp> warps_;
  int num_warps_ = 0, current_ = 0, num_alive_ = 0;
  bool cluster_waits_ = false;
  uint64_t last_no_ = 0;  // the vote in which a thread said no
  Barrier barrier_;
  void* at_[5];
};

thread_local Worker worker;

void Worker::live() {
  for (Worker* own = &worker;;) {
    (*own->kernel_)();
    own->leave();
  }
}

// Threads of the system, which wait for launches.
class Workers {
 public:
  Workers() {
    for (unsigned rank = 0; rank < kMaxWorkers; ++rank) {
      threads_.emplace_back([this, rank](const std::stop_token& stop) { serve(stop, rank); });
    }
  }
  // Calls work(rank) for as many ranks at the same time.
  void run(unsigned num_workers, const std::function<void(unsigned)>& work) {
    std::unique_lock lock(mutex_);
    work_ = &work;
    num_wanted_ = num_running_ = num_workers;
    ++num_runs_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return num_running_ == 0; });
  }

 private:
  void serve(const std::stop_token& stop, unsigned rank) {
    uint64_t seen = 0;
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, stop, [&] { return num_runs_ != seen; })) {
      seen = num_runs_;
      if (rank >= num_wanted_) continue;
      lock.unlock();
      (*work_)(rank);
      lock.lock();
      if (--num_running_ == 0) changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable_any changed_;
  const std::function<void(unsigned)>* work_ = nullptr;
  unsigned num_wanted_ = 0, num_running_ = 0;
  uint64_t num_runs_ = 0;
  std::vector<std::jthread> threads_;
};

Size index_of(uint64_t number, const Size& grid) {
  return {static_cast<unsigned>(number % grid.x), static_cast<unsigned>(number / grid.x % grid.y),
          static_cast<unsigned>(number / grid.x / grid.y)};
}

}  // namespace

void run(const Launch& launch, const std::function<void()>& kernel) {
  static Workers workers;
  const Size& c = launch.cluster;
  const unsigned cluster_size = c.x * c.y * c.z;
  if (launch.num_threads % kLanes != 0) refuse(launch, "its blocks are no whole warps");
  if (launch.shared_bytes > kMaxSharedBytes) refuse(launch, "more shared memory than a block has");
  if (cluster_size > kMaxWorkers) refuse(launch, "more blocks than a cluster has");
  const bool is_clustered = cluster_size > 1;
  const Size clusters{launch.grid.x / c.x, launch.grid.y / c.y, launch.grid.z / c.z};
  const uint64_t num_clusters = uint64_t{clusters.x} * clusters.y * clusters.z;
  const auto at_once = static_cast<unsigned>(std::min<uint64_t>(kBlocksAtOnce, num_clusters));
  Cluster cluster(cluster_size);
  workers.run(is_clustered ? cluster_size : at_once, [&](unsigned rank) {
    worker.begin(launch, kernel, is_clustered ? &cluster : nullptr, is_clustered ? rank : 0);
    if (!is_clustered) {
      for (uint64_t i = rank; i < num_clusters; i += at_once) worker.run_block(index_of(i, clusters));
      return;
    }
    cluster.origins[rank] = dynamic_memory;
    const Size own = index_of(rank, c);
    for (uint64_t i = 0; i < num_clusters; ++i) {
      cluster.barrier.arrive_and_wait();
      const Size of = index_of(i, clusters);
      worker.run_block({of.x * c.x + own.x, of.y * c.y + own.y, of.z * c.z + own.z});
    }
  });
}

void wait_for_block() { worker.wait_for_all(); }
void wait_for_cluster() { worker.wait_for_cluster(); }
bool is_all(bool value) { return worker.is_all(value); }
const Words* exchange(const Words& own) { return worker.exchange(own); }
void* shared_memory() { return dynamic_memory; }
void* in_block(const void* shared, unsigned of_rank) { return worker.in_block(shared, of_rank); }
unsigned block_rank() { return worker.rank(); }

}  // namespace emulation
