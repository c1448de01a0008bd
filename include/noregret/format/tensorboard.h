#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace noregret {

// Records of a TensorBoard event file: u64 length, masked crc32c of it, payload, masked crc32c of the payload
// (TFRecord), the payload a tensorflow.Event message. The caller appends the bytes to
// events.out.tfevents.<time>.<host>.
std::string tensorboard_header_record(double wall_time_s);
std::string tensorboard_scalar_record(double wall_time_s, int64_t step,
                                      const std::vector<std::pair<std::string, double>>& scalars);

uint32_t crc32c(const void* data, size_t size);  // Castagnoli

}  // namespace noregret
