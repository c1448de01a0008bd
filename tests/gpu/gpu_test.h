#pragma once

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include "noregret/tensor/device.h"

namespace noregret {

#if NOREGRET_EMULATED  // the kernels run on the CPU (tests/emulation), and so device memory is the host's
inline const at::Device kGpu(at::kCPU);
inline constexpr bool kIsEmulated = true;  // thousands of times slower: some tests take fewer cases
#else
inline const at::Device kGpu(at::kCUDA, 0);
inline constexpr bool kIsEmulated = false;
#endif

class GpuTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!kIsEmulated && !cuda_is_available()) GTEST_SKIP() << "no GPU";
  }
};

}  // namespace noregret
