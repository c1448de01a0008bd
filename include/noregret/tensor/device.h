#pragma once

#include <cstdint>
#include <string>

#include <ATen/core/Tensor.h>

namespace noregret {

// "auto" (CUDA where a GPU is visible, else CPU), "cpu", "cuda". Throws ConfigError for "cuda" without a GPU, saying which of build or GPU is missing.
at::Device parse_device(const std::string& name);

bool cuda_is_available();               // built with CUDA and a GPU is visible
bool is_cuda_build();
std::string device_name(at::Device device);  // "cpu, 2 threads", "cuda:0 NVIDIA H200"
void synchronize(at::Device device);    // waits for the device; nothing on CPU
uint64_t peak_memory_bytes(at::Device device);  // CUDA: peak allocated; CPU: peak resident memory of the process

void set_num_threads(int num_threads);  // intra-op threads of LibTorch; 0 = one a core

}  // namespace noregret
