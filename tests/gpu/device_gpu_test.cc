#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "noregret/tensor/device.h"

namespace noregret {
namespace {

using testing::StartsWith;

const at::Device kGpu(at::kCUDA, 0);

class DeviceOnGpu : public testing::Test {
 protected:
  void SetUp() override {
    if (!cuda_is_available()) GTEST_SKIP() << "no GPU";
  }
};

at::TensorOptions on_gpu(at::ScalarType dtype) { return at::TensorOptions(kGpu).dtype(dtype); }

TEST_F(DeviceOnGpu, AutoAndCudaAreTheFirstGpu) {
  EXPECT_EQ(parse_device("auto"), kGpu);
  EXPECT_EQ(parse_device("cuda"), kGpu);
}

TEST_F(DeviceOnGpu, NameBeginsWithTheIndexAndNamesTheModel) {
  EXPECT_THAT(device_name(kGpu), StartsWith("cuda:0 "));
  EXPECT_GT(device_name(kGpu).size(), std::string("cuda:0 ").size());
  EXPECT_EQ(device_name(at::Device(at::kCUDA)), device_name(kGpu));  // no index is the first
}

TEST_F(DeviceOnGpu, PeakMemoryHoldsATensorThatIsGone) {
  const int64_t size_bytes = int64_t{64} << 20;
  at::ones({size_bytes}, on_gpu(at::kByte));
  synchronize(kGpu);
  EXPECT_GE(peak_memory_bytes(kGpu), static_cast<uint64_t>(size_bytes));
}

TEST_F(DeviceOnGpu, F32MatmulAgreesWithTheCpu) {
  const at::Tensor a = at::randn({64, 96});
  const at::Tensor b = at::randn({96, 32});
  const at::Tensor gpu = at::matmul(a.to(kGpu), b.to(kGpu));
  synchronize(kGpu);
  EXPECT_LT(gpu.cpu().sub(at::matmul(a, b)).abs().max().item<float>(),
            1e-4);  // f32 sums of 96 terms; TF32 would give 1e-2
}

TEST_F(DeviceOnGpu, Bf16MatmulAgreesWithF32OfTheSameValues) {
  const at::Tensor a = at::randn({64, 96}).to(at::kBFloat16);
  const at::Tensor b = at::randn({96, 32}).to(at::kBFloat16);
  const at::Tensor want = at::matmul(a.to(at::kFloat), b.to(at::kFloat));
  const at::Tensor got = at::matmul(a.to(kGpu), b.to(kGpu)).cpu().to(at::kFloat);
  EXPECT_LT(got.sub(want).abs().max().item<float>(), 0.25);  // half a bf16 step at |x| < 64 is 1/8
}

}  // namespace
}  // namespace noregret
