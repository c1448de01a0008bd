#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <new>

#include "noregret/base/check.h"
#include "noregret/kernels/matrix.h"

namespace noregret::kernels {
namespace {

float from_bits(uint32_t bits) { return std::bit_cast<float>(bits); }

// `size` is a multiple of 64.
std::shared_ptr<std::byte> memory_of(int64_t size) {
  std::shared_ptr<std::byte> data(static_cast<std::byte*>(std::aligned_alloc(64, static_cast<size_t>(size))),
                                  std::free);
  if (data == nullptr) throw std::bad_alloc();
  return data;
}

}  // namespace

PackedMatrix::PackedMatrix(int64_t out, int64_t in, WeightDtype dtype, int64_t room)
    : PackedMatrix(out, in, dtype, room, false) {}

PackedMatrix PackedMatrix::narrow(int64_t out, int64_t in) {
  return {out, in, WeightDtype::kF32, 0, out <= 8 && in % 2 == 0};
}

PackedMatrix::PackedMatrix(int64_t out, int64_t in, WeightDtype dtype, int64_t room, bool is_halved)
    : out_(out), in_(in), dtype_(dtype), is_halved_(is_halved) {
  NOREGRET_CHECK(out > 0 && in > 0, out, " x ", in);
  panel_bytes_ = own_panel_bytes() + room * 64;
  data_ = memory_of(num_panels() * panel_bytes_);
  std::memset(data_.get(), 0, num_bytes());
}

int64_t PackedMatrix::own_panel_bytes() const { return (dtype_ == WeightDtype::kF32 ? depth() : (in_ + 1) / 2) * 64; }

void PackedMatrix::make_room(int64_t inputs) {
  const int64_t panel_bytes = own_panel_bytes() + inputs * 64;
  if (panel_bytes <= panel_bytes_) return;
  std::shared_ptr<std::byte> moved = memory_of(num_panels() * panel_bytes);
  for (int64_t p = 0; p < num_panels(); ++p) {
    std::byte* to = moved.get() + p * panel_bytes;
    std::memcpy(to, data_.get() + p * panel_bytes_, static_cast<size_t>(panel_bytes_));
    std::memset(to + panel_bytes_, 0, static_cast<size_t>(panel_bytes - panel_bytes_));
  }
  data_ = std::move(moved);
  panel_bytes_ = panel_bytes;
}

PackedMatrix PackedMatrix::in_room(int64_t first, int64_t in) {
  const int64_t begin = own_panel_bytes() + first * 64;
  NOREGRET_CHECK(first >= 0 && in > 0 && begin + in * 64 <= panel_bytes_, in, " inputs at ", first);
  PackedMatrix matrix;
  matrix.data_ = {data_, data_.get() + begin};
  matrix.out_ = out_;
  matrix.in_ = in;
  matrix.panel_bytes_ = panel_bytes_;
  return matrix;
}

const void* PackedMatrix::panel(int64_t panel, int64_t k) const {
  return data_.get() + panel * panel_bytes() + k * input_bytes();
}

void PackedMatrix::pack(const float* w, int64_t out_stride, int64_t in_stride, float scale) {
  NOREGRET_CHECK(dtype_ == WeightDtype::kF32);
  auto* data = reinterpret_cast<float*>(data_.get());
  for (int64_t o = 0; o < out_; ++o) {
    float* column = data + o / 16 * (panel_bytes_ / 4) + o % 16;
    const float* row = w + o * out_stride;
    for (int64_t i = 0; i < depth(); ++i) column[i * 16] = scale * row[i * in_stride];
    for (int64_t i = depth(); i < in_; ++i) column[(i - depth()) * 16 + 8] = scale * row[i * in_stride];
  }
}

void PackedMatrix::pack(const uint16_t* w) {
  NOREGRET_CHECK(dtype_ == WeightDtype::kBf16);
  auto* data = reinterpret_cast<uint16_t*>(data_.get());
  for (int64_t o = 0; o < out_; ++o) {
    uint16_t* column = data + o / 16 * (panel_bytes_ / 2) + o % 16 * 2;
    const uint16_t* row = w + o * in_;
    for (int64_t i = 0; i < in_; ++i) column[i / 2 * 32 + i % 2] = row[i];
  }
}

void PackedMatrix::unpack(int64_t first_row, int64_t num_rows, float* w) const {
  NOREGRET_CHECK(!is_halved_);
  for (int64_t o = first_row; o < first_row + num_rows; ++o, w += in_) {
    if (dtype_ == WeightDtype::kF32) {
      const float* column = static_cast<const float*>(panel(o / 16, 0)) + o % 16;
      for (int64_t i = 0; i < in_; ++i) w[i] = column[i * 16];
    } else {
      const uint32_t* column = static_cast<const uint32_t*>(panel(o / 16, 0)) + o % 16;
      for (int64_t i = 0; i < in_; ++i) {
        const uint32_t pair = column[i / 2 * 16];
        w[i] = from_bits(i % 2 == 0 ? pair << 16 : pair & 0xffff0000u);
      }
    }
  }
}

PackedMatrix PackedMatrix::transposed(ThreadPool& pool) const {
  NOREGRET_CHECK(!is_halved_);
  PackedMatrix result(in_, out_, dtype_);
  // A task makes one panel of the result, 16 inputs of this matrix.
  pool.run(result.num_panels(), [&](int64_t task) {
    const int64_t first = task * 16;
    const int64_t count = std::min<int64_t>(16, in_ - first);
    if (dtype_ == WeightDtype::kF32) {
      auto* to = static_cast<float*>(const_cast<void*>(result.panel(task, 0)));
      for (int64_t p = 0; p < num_panels(); ++p) {
        const auto* from = static_cast<const float*>(panel(p, first));
        const int64_t num_out = std::min<int64_t>(16, out_ - p * 16);
        for (int64_t o = 0; o < num_out; ++o) {
          for (int64_t i = 0; i < count; ++i) to[(p * 16 + o) * 16 + i] = from[i * 16 + o];
        }
      }
    } else {
      auto* to = static_cast<uint32_t*>(const_cast<void*>(result.panel(task, 0)));
      for (int64_t p = 0; p < num_panels(); ++p) {
        const auto* from = static_cast<const uint32_t*>(panel(p, first));
        // A word holds two inputs of one output here, and two outputs of one input there. Outputs beyond the last are
        // 0.
        for (int64_t pair = 0; pair < 8 && p * 16 + pair * 2 < out_; ++pair) {
          uint32_t* row = to + (p * 8 + pair) * 16;
          for (int64_t i = 0; i < count; i += 2) {
            const uint32_t a = from[i / 2 * 16 + pair * 2];
            const uint32_t b = from[i / 2 * 16 + pair * 2 + 1];
            row[i] = (a & 0xffff) | b << 16;
            row[i + 1] = a >> 16 | (b & 0xffff0000u);
          }
        }
      }
    }
  });
  return result;
}

}  // namespace noregret::kernels
