#include "kernels/cuda/launch.h"

#include <cuda_runtime_api.h>

#include <cstdlib>

#include "noregret/base/check.h"

namespace noregret::kernels::cuda {

void check_launch(const char* kernel) {
  const cudaError_t error = cudaGetLastError();
  NOREGRET_CHECK(error == cudaSuccess, "CUDA kernel ", kernel, ": ", cudaGetErrorString(error));
}

void refuse(const char* kernel, const char* what) {
  NOREGRET_CHECK(false, "CUDA kernel ", kernel, " cannot do ", what);
  std::abort();
}

}  // namespace noregret::kernels::cuda
