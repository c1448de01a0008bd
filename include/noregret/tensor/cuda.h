#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "noregret/tensor/tensor.h"

struct CUstream_st;

// What the CUDA runtime and LibTorch's layer above it give, in a build with CUDA; without, every call is a bug.
namespace noregret {

CUstream_st* current_stream(at::Device device);

// While it lives, work goes to one stream of its own, which does not stop the others: after what was queued before it,
// and before what is queued after it. Graphs are captured there.
class SideStream {
 public:
  explicit SideStream(at::Device device);
  ~SideStream();
  SideStream(const SideStream&) = delete;
  SideStream& operator=(const SideStream&) = delete;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Queued work that is queued again at once. Graphs of one pool share their memory and may not run at the same time.
class CudaGraph {
 public:
  class Pool;
  static std::shared_ptr<Pool> make_pool();
  // Captures what `work` queues on the current stream, without running it. All that it touches must outlive the graph,
  // where it lies.
  CudaGraph(std::shared_ptr<Pool> pool, const std::function<void()>& work);
  ~CudaGraph();
  CudaGraph(CudaGraph&&) noexcept;
  CudaGraph& operator=(CudaGraph&&) noexcept;
  void replay();  // on the current stream

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// A place in the queue of the current stream.
class CudaEvent {
 public:
  CudaEvent();
  ~CudaEvent();
  CudaEvent(CudaEvent&&) noexcept;
  CudaEvent& operator=(CudaEvent&&) noexcept;
  void record(at::Device device);
  void wait() const;  // until everything before it is done

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Host memory that the device copies from and to while the host goes on.
Tensor pinned(at::IntArrayRef sizes, at::ScalarType dtype);

// Products whose sum order does not depend on the number of rows: must be asked for before the device is first used.
void request_invariant_products();

}  // namespace noregret
