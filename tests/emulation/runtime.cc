#include <ATen/ops/empty.h>

#include <utility>

#include "noregret/tensor/cuda.h"

// tensor/cuda.h where device memory is the host's and everything is done when it is queued.
namespace noregret {

CUstream_st* current_stream(at::Device /*device*/) { return nullptr; }

struct SideStream::State {};
SideStream::SideStream(at::Device /*device*/) {}
SideStream::~SideStream() = default;

// Runs the work again, as it is then.
struct CudaGraph::State {
  std::function<void()> work;
};
class CudaGraph::Pool {};
std::shared_ptr<CudaGraph::Pool> CudaGraph::make_pool() { return std::make_shared<Pool>(); }
CudaGraph::CudaGraph(std::shared_ptr<Pool> /*pool*/, const std::function<void()>& work)
    : state_(std::make_unique<State>(State{work})) {}
CudaGraph::~CudaGraph() = default;
CudaGraph::CudaGraph(CudaGraph&&) noexcept = default;
CudaGraph& CudaGraph::operator=(CudaGraph&&) noexcept = default;
void CudaGraph::replay() { state_->work(); }

struct CudaEvent::State {};
CudaEvent::CudaEvent() = default;
CudaEvent::~CudaEvent() = default;
CudaEvent::CudaEvent(CudaEvent&&) noexcept = default;
CudaEvent& CudaEvent::operator=(CudaEvent&&) noexcept = default;
void CudaEvent::record(at::Device /*device*/) {}
void CudaEvent::wait() const {}

Tensor pinned(at::IntArrayRef sizes, at::ScalarType dtype) { return at::empty(sizes, at::TensorOptions(dtype)); }
void request_invariant_products() {}

}  // namespace noregret
