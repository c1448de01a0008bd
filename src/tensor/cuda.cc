#include "noregret/tensor/cuda.h"

#include <cstdlib>

#include "noregret/base/check.h"

#if NOREGRET_CUDA
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace noregret {

#if NOREGRET_CUDA

CUstream_st* current_stream(at::Device device) { return c10::cuda::getCurrentCUDAStream(device.index()).stream(); }

struct SideStream::State {
  explicit State(at::Device device)
      : before(c10::cuda::getCurrentCUDAStream(device.index())), own(side_stream(device)), guard(own) {}

  // One for all, so that memory that the allocator has for it is used again.
  static c10::cuda::CUDAStream side_stream(at::Device device) {
    static const c10::cuda::CUDAStream stream = c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index());
    return stream;
  }

  static void let_wait(const c10::cuda::CUDAStream& later, const c10::cuda::CUDAStream& earlier) {
    at::cuda::CUDAEvent event;
    event.record(earlier);
    event.block(later);
  }

  c10::cuda::CUDAStream before;
  c10::cuda::CUDAStream own;
  c10::cuda::CUDAStreamGuard guard;
};

SideStream::SideStream(at::Device device) : state_(std::make_unique<State>(device)) {
  State::let_wait(state_->own, state_->before);
}
SideStream::~SideStream() { State::let_wait(state_->before, state_->own); }

class CudaGraph::Pool {
 public:
  at::cuda::MempoolId_t id = at::cuda::graph_pool_handle();
};
std::shared_ptr<CudaGraph::Pool> CudaGraph::make_pool() { return std::make_shared<Pool>(); }

struct CudaGraph::State {
  std::shared_ptr<Pool> pool;
  at::cuda::CUDAGraph graph;
};
CudaGraph::CudaGraph(std::shared_ptr<Pool> pool, const std::function<void()>& work)
    : state_(std::make_unique<State>()) {
  state_->pool = std::move(pool);
  state_->graph.capture_begin(state_->pool->id, cudaStreamCaptureModeThreadLocal);
  work();
  state_->graph.capture_end();
}
void CudaGraph::replay() { state_->graph.replay(); }

struct CudaEvent::State {
  at::cuda::CUDAEvent event;
};
CudaEvent::CudaEvent() : state_(std::make_unique<State>()) {}
void CudaEvent::record(at::Device device) { state_->event.record(c10::cuda::getCurrentCUDAStream(device.index())); }
void CudaEvent::wait() const { state_->event.synchronize(); }

Tensor pinned(at::IntArrayRef sizes, at::ScalarType dtype) {
  return at::empty(sizes, at::TensorOptions(dtype).pinned_memory(true));
}

// cuBLAS splits sums only into workspace (CUBLAS_WORKSPACE_CONFIG, NVIDIA's documentation of cuBLAS, "Results
// reproducibility").
void request_invariant_products() {
  setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8", 1);
  setenv("CUBLASLT_WORKSPACE_SIZE", "1", 1);
}

#else

namespace {
[[noreturn]] void refuse() {
  NOREGRET_CHECK(false, "this program is built without CUDA");
  std::abort();
}
}  // namespace

CUstream_st* current_stream(at::Device /*device*/) { refuse(); }
struct SideStream::State {};
SideStream::SideStream(at::Device /*device*/) { refuse(); }
SideStream::~SideStream() = default;
class CudaGraph::Pool {};
std::shared_ptr<CudaGraph::Pool> CudaGraph::make_pool() { refuse(); }
struct CudaGraph::State {};
CudaGraph::CudaGraph(std::shared_ptr<Pool> /*pool*/, const std::function<void()>& /*work*/) { refuse(); }
void CudaGraph::replay() { refuse(); }
struct CudaEvent::State {};
CudaEvent::CudaEvent() { refuse(); }
void CudaEvent::record(at::Device /*device*/) { refuse(); }
void CudaEvent::wait() const { refuse(); }
Tensor pinned(at::IntArrayRef /*sizes*/, at::ScalarType /*dtype*/) { refuse(); }
void request_invariant_products() { refuse(); }

#endif

CudaGraph::~CudaGraph() = default;
CudaGraph::CudaGraph(CudaGraph&&) noexcept = default;
CudaGraph& CudaGraph::operator=(CudaGraph&&) noexcept = default;
CudaEvent::~CudaEvent() = default;
CudaEvent::CudaEvent(CudaEvent&&) noexcept = default;
CudaEvent& CudaEvent::operator=(CudaEvent&&) noexcept = default;

}  // namespace noregret
