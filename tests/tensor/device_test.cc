#include "noregret/tensor/device.h"

#include <ATen/Parallel.h>
#include <ATen/ops/ones.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>

#include "noregret/base/error.h"
#include "noregret/tensor/threads.h"
#include "tests/support/sanitizer.h"

namespace noregret {
namespace {

using testing::HasSubstr;

const at::Device kCpu(at::kCPU);
const at::Device kGpu(at::kCUDA, 0);

std::string config_error_of(const std::string& device) {
  try {
    parse_device(device);
  } catch (const ConfigError& e) {
    return e.what();
  }
  return "no error";
}

TEST(Device, CpuIsCpu) { EXPECT_EQ(parse_device("cpu"), kCpu); }

TEST(Device, AutoIsTheGpuExactlyWhereOneIsVisible) {
  EXPECT_EQ(parse_device("auto"), cuda_is_available() ? kGpu : kCpu);
}

TEST(Device, CudaWithoutAGpuSaysWhichOfBuildAndGpuIsMissing) {
  if (cuda_is_available()) {
    EXPECT_EQ(parse_device("cuda"), kGpu);
  } else {
    EXPECT_THAT(config_error_of("cuda"), HasSubstr(is_cuda_build() ? "no GPU is visible" : "built without CUDA"));
  }
}

TEST(Device, UnknownNameIsAConfigErrorThatListsTheNames) {
  EXPECT_THAT(config_error_of("gpu"), HasSubstr("'gpu' is not a device; want auto, cpu or cuda"));
  EXPECT_THAT(config_error_of(""), HasSubstr("want auto, cpu or cuda"));
  EXPECT_THAT(config_error_of("CPU"), HasSubstr("want auto, cpu or cuda"));
}

TEST(Device, ConfigErrorHasExitCode78) {
  try {
    parse_device("tpu");
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(static_cast<int>(e.code()), 78);
  }
}

TEST(Device, AGpuIsAvailableOnlyToACudaBuild) { EXPECT_TRUE(is_cuda_build() || !cuda_is_available()); }

TEST(Device, NameOfTheCpuCountsThreads) {
  set_num_threads(3);
  EXPECT_EQ(device_name(kCpu), "cpu, 3 threads");
  set_num_threads(1);
  EXPECT_EQ(device_name(kCpu), "cpu, 1 thread");
  set_num_threads(0);
}

TEST(Device, ZeroThreadsIsOneACore) {
  set_num_threads(0);
  EXPECT_EQ(num_threads(), static_cast<int>(std::thread::hardware_concurrency()));
}

TEST(Device, OperatorsOfLibTorchHaveNoThreadsThatWaitBusily) {
  set_num_threads(3);
  EXPECT_EQ(num_threads(), 3);
  EXPECT_EQ(at::get_num_threads(), 1);
  set_num_threads(0);
}

TEST(Device, NegativeThreadsAreAConfigError) {
  try {
    set_num_threads(-1);
    FAIL() << "no error";
  } catch (const ConfigError& e) {
    EXPECT_THAT(e.what(), HasSubstr("threads: -1 is negative"));
  }
}

TEST(Device, SynchronizingTheCpuDoesNothing) { EXPECT_NO_THROW(synchronize(kCpu)); }

TEST(Device, PeakMemoryOfTheCpuHoldsATensorThatIsGone) {
  const int64_t size_bytes = int64_t{600} << 20;  // more than the process took before
  at::ones({size_bytes}, at::kByte);
  EXPECT_GE(peak_memory_bytes(kCpu), static_cast<uint64_t>(size_bytes));
  EXPECT_LT(peak_memory_bytes(kCpu), static_cast<uint64_t>(size_bytes) * 8);  // bytes, not KiB
}

TEST(Device, MemoryInUseFallsWhenATensorIsGone) {
  if (kIsSanitized) GTEST_SKIP() << "a sanitizer has a heap of its own, which keeps what was freed";
  const uint64_t size_bytes = uint64_t{200} << 20;
  const ProcessMemory before = process_memory();
  ProcessMemory during{};
  {
    const at::Tensor tensor = at::ones({static_cast<int64_t>(size_bytes)}, at::kByte);
    during = process_memory();
  }
  const ProcessMemory after = process_memory();
  const uint64_t slack = 8 << 20;
  EXPECT_GE(during.resident_bytes + slack, before.resident_bytes + size_bytes);
  EXPECT_GE(during.heap_bytes, before.heap_bytes + size_bytes);
  EXPECT_LT(after.resident_bytes, during.resident_bytes - size_bytes + slack);
  EXPECT_LT(after.heap_bytes, during.heap_bytes - size_bytes + slack);
}

TEST(Device, AskingACpuBuildForTheGpuIsABugOfOurs) {
  if (is_cuda_build()) GTEST_SKIP() << "this is a CUDA build";
  EXPECT_THROW(synchronize(kGpu), std::logic_error);
  EXPECT_THROW(device_name(kGpu), std::logic_error);
  EXPECT_THROW(peak_memory_bytes(kGpu), std::logic_error);
}

}  // namespace
}  // namespace noregret
