#include "noregret/format/tensorboard.h"

#include <array>
#include <bit>

namespace noregret {
namespace {

using Table = std::array<uint32_t, 256>;

// The remainder of each byte; the Castagnoli polynomial 0x1EDC6F41 with its bits reversed (RFC 3720, appendix B.4).
constexpr Table make_table() {
  Table table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82F63B78u : 0u);
    table[byte] = crc;
  }
  return table;
}
constexpr Table kTable = make_table();

void put_fixed32(std::string& out, uint32_t value) {
  for (int i = 0; i < 4; ++i) out.push_back(static_cast<char>(value >> (8 * i) & 0xff));
}

void put_fixed64(std::string& out, uint64_t value) {
  put_fixed32(out, static_cast<uint32_t>(value));
  put_fixed32(out, static_cast<uint32_t>(value >> 32));
}

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

// Protocol buffers: a field begins with its number and the kind of its value.
enum WireType : uint64_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
void put_tag(std::string& out, uint64_t field, WireType type) { put_varint(out, field << 3 | type); }

void put_bytes(std::string& out, uint64_t field, const std::string& bytes) {
  put_tag(out, field, kBytes);
  put_varint(out, bytes.size());
  out += bytes;
}

// tensorflow.Event: wall_time = 1, step = 2, file_version = 3, summary = 5.
std::string event(double wall_time_s, int64_t step, uint64_t content_field, const std::string& content) {
  std::string out;
  put_tag(out, 1, kFixed64);
  put_fixed64(out, std::bit_cast<uint64_t>(wall_time_s));
  if (step != 0) {  // a field at its default is left out
    put_tag(out, 2, kVarint);
    put_varint(out, static_cast<uint64_t>(step));
  }
  put_bytes(out, content_field, content);
  return out;
}

// TFRecord masks its checksums because a checksum of data that holds its own checksum is weak.
uint32_t masked_crc(const std::string& bytes) {
  return std::rotr(crc32c(bytes.data(), bytes.size()), 15) + 0xA282EAD8u;
}

std::string record(const std::string& payload) {
  std::string out;
  put_fixed64(out, payload.size());
  put_fixed32(out, masked_crc(out));
  out += payload;
  put_fixed32(out, masked_crc(payload));
  return out;
}

}  // namespace

uint32_t crc32c(const void* data, size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  uint32_t crc = 0xFFFFFFFFu;
  for (size_t i = 0; i < size; ++i) crc = crc >> 8 ^ kTable[(crc ^ bytes[i]) & 0xff];
  return ~crc;
}

std::string tensorboard_header_record(double wall_time_s) { return record(event(wall_time_s, 0, 3, "brain.Event:2")); }

std::string tensorboard_scalar_record(double wall_time_s, int64_t step,
                                      const std::vector<std::pair<std::string, double>>& scalars) {
  std::string summary;  // Summary: value = 1; Value: tag = 1, simple_value = 2
  for (const auto& [tag, number] : scalars) {
    std::string value;
    put_bytes(value, 1, tag);
    put_tag(value, 2, kFixed32);
    put_fixed32(value, std::bit_cast<uint32_t>(static_cast<float>(number)));
    put_bytes(summary, 1, value);
  }
  return record(event(wall_time_s, step, 5, summary));
}

}  // namespace noregret
