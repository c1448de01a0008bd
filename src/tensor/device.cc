#include "noregret/tensor/device.h"

#include <ATen/Parallel.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <thread>

#include "noregret/base/check.h"
#include "noregret/base/error.h"
#include "noregret/base/text.h"
#include "noregret/tensor/threads.h"
#include "tensor/control_group.h"

#if NOREGRET_CUDA
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#endif

namespace noregret {
namespace {

int num_cores() { return static_cast<int>(std::max(1U, std::thread::hardware_concurrency())); }

std::atomic<int>& thread_count() {
  static std::atomic<int> count = num_cores();
  return count;
}

#if NOREGRET_CUDA
int num_gpus() { return c10::cuda::device_count(); }

std::string gpu_name(at::Device device) {
  cudaDeviceProp properties;
  C10_CUDA_CHECK(cudaGetDeviceProperties(&properties, device.index()));
  return properties.name;
}

void wait_for_gpu(at::Device device) {
  const c10::cuda::CUDAGuard guard(device);
  c10::cuda::device_synchronize();
}

uint64_t peak_gpu_bytes(at::Device device) {
  const c10::cuda::CUDAGuard guard(device);  // creates the context without which the allocator has no statistics
  const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(device.index());
  constexpr auto kAggregate = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  return static_cast<uint64_t>(stats.allocated_bytes[kAggregate].peak);
}

uint64_t free_gpu_bytes(at::Device device) {
  const c10::cuda::CUDAGuard guard(device);
  size_t free = 0, total = 0;
  C10_CUDA_CHECK(cudaMemGetInfo(&free, &total));
  const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(device.index());
  constexpr auto kAggregate = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  const int64_t unused = stats.reserved_bytes[kAggregate].current - stats.allocated_bytes[kAggregate].current;
  return free + static_cast<uint64_t>(unused);
}
#else
constexpr const char* kNoCudaBuild = "this program is built without CUDA";

int num_gpus() { return 0; }
std::string gpu_name(at::Device device) { NOREGRET_CHECK(false, kNoCudaBuild, ", asked for ", device.str()); }
void wait_for_gpu(at::Device device) { NOREGRET_CHECK(false, kNoCudaBuild, ", asked for ", device.str()); }
uint64_t peak_gpu_bytes(at::Device device) { NOREGRET_CHECK(false, kNoCudaBuild, ", asked for ", device.str()); }
uint64_t free_gpu_bytes(at::Device device) { NOREGRET_CHECK(false, kNoCudaBuild, ", asked for ", device.str()); }
#endif

uint64_t available_bytes() {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    uint64_t kilobytes = 0;
    if (std::sscanf(line.c_str(), "MemAvailable: %" SCNu64, &kilobytes) == 1) return kilobytes * 1024;
  }
  throw IoError("/proc/meminfo: cannot read MemAvailable");
}

at::Device with_index(at::Device device) {
  return device.is_cuda() && !device.has_index() ? at::Device(at::kCUDA, 0) : device;
}

}  // namespace

at::Device parse_device(const std::string& name) {
  if (name == "cpu" || (name == "auto" && !cuda_is_available())) return at::Device(at::kCPU);
  if (name != "cuda" && name != "auto") {
    throw ConfigError(cat("device: '", name, "' is not a device; want auto, cpu or cuda"));
  }
  if (!is_cuda_build()) {
    throw ConfigError(
        "device: cuda, but this program is built without CUDA; build with -DNOREGRET_CUDA=ON, or set device: cpu");
  }
  if (!cuda_is_available()) {
    throw ConfigError(
        "device: cuda, but no GPU is visible; check that nvidia-smi lists one and CUDA_VISIBLE_DEVICES does not hide "
        "it, "
        "or set device: cpu");
  }
  return at::Device(at::kCUDA, 0);
}

bool cuda_is_available() { return num_gpus() > 0; }

bool is_cuda_build() {
#if NOREGRET_CUDA
  return true;
#else
  return false;
#endif
}

std::string device_name(at::Device device) {
  if (device.is_cpu()) {
    return cat("cpu, ", num_threads(), num_threads() == 1 ? " thread" : " threads");
  }
  return cat(with_index(device).str(), " ", gpu_name(with_index(device)));
}

void synchronize(at::Device device) {
  if (!device.is_cpu()) wait_for_gpu(with_index(device));
}

uint64_t peak_memory_bytes(at::Device device) {
  if (!device.is_cpu()) return peak_gpu_bytes(with_index(device));
  rusage usage{};
  NOREGRET_CHECK(getrusage(RUSAGE_SELF, &usage) == 0, "getrusage failed");
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;  // Linux counts in KiB
}

uint64_t free_memory_bytes(at::Device device) {
  if (!device.is_cpu()) return free_gpu_bytes(with_index(device));
  return std::min(available_bytes(), control_group_free_bytes("/sys/fs/cgroup", own_control_group()));
}

ProcessMemory process_memory() {
  std::ifstream file("/proc/self/statm");  // in pages: virtual size, resident size, ...
  uint64_t virtual_pages = 0, resident_pages = 0;
  if (!(file >> virtual_pages >> resident_pages)) throw IoError("/proc/self/statm: cannot read the resident size");
  const struct mallinfo2 heap = mallinfo2();
  return {resident_pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)), heap.uordblks + heap.hblkhd};
}

int num_threads() { return thread_count(); }

void set_num_threads(int num_threads) {
  if (num_threads < 0) {
    throw ConfigError(cat("threads: ", num_threads, " is negative; want the number of threads, or 0 for one a core"));
  }
  thread_count() = num_threads == 0 ? num_cores() : num_threads;
  at::set_num_threads(1);
}

}  // namespace noregret
