#include <array>
#include <stdexcept>
#include <utility>

#include "tests/kernels/matrix_cases.h"

namespace noregret::kernels {
namespace {

constexpr WeightDtype kDtypes[] = {WeightDtype::kF32, WeightDtype::kBf16};
constexpr std::pair<int64_t, int64_t> kSizes[] = {{1, 1},   {1, 2},   {2, 1},   {15, 3},   {16, 16}, {17, 5},
                                                  {31, 33}, {32, 15}, {33, 31}, {40, 513}, {513, 7}};

std::vector<float> unpacked(const PackedMatrix& matrix) {
  std::vector<float> w(static_cast<size_t>(matrix.out() * matrix.in()));
  matrix.unpack(0, matrix.out(), w.data());
  return w;
}

void expect_same_bytes(const PackedMatrix& a, const PackedMatrix& b) {
  ASSERT_EQ(a.out(), b.out());
  ASSERT_EQ(a.in(), b.in());
  ASSERT_EQ(a.dtype(), b.dtype());
  ASSERT_EQ(a.num_bytes(), b.num_bytes());
  EXPECT_EQ(std::memcmp(a.bytes(), b.bytes(), a.num_bytes()), 0) << a.out() << " x " << a.in();
}

TEST(PackedMatrix, UnpackGivesBackEveryBit) {
  for (const WeightDtype dtype : kDtypes) {
    for (const auto& [out, in] : kSizes) {
      const Weight weight = make_weight(out, in, dtype, 11);
      EXPECT_EQ(weight.packed.out(), out);
      EXPECT_EQ(weight.packed.in(), in);
      EXPECT_EQ(weight.packed.dtype(), dtype);
      expect_same_bits(unpacked(weight.packed), weight.rows, cat(out, " x ", in));
    }
  }
}

TEST(PackedMatrix, KeepsOddValues) {
  // Zeros of both signs, the smallest denormal and normal, the largest number, infinities and a NaN, as bf16 bits.
  const std::array<uint16_t, 9> bits = {0x0000, 0x8000, 0x0001, 0x8080, 0x7f7f, 0xff7f, 0x7f80, 0xff80, 0xffc1};
  std::vector<float> values;
  for (const uint16_t value : bits) values.push_back(widen(value));
  for (const auto& [out, in] : {std::pair<int64_t, int64_t>{1, 9}, {9, 1}, {3, 3}}) {
    PackedMatrix narrow(out, in, WeightDtype::kBf16);
    narrow.pack(bits.data());
    expect_same_bits(unpacked(narrow), values, "bf16");
    PackedMatrix wide(out, in, WeightDtype::kF32);
    wide.pack(values.data(), in, 1);
    expect_same_bits(unpacked(wide), values, "f32");
  }
}

TEST(PackedMatrix, UnpacksARangeOfRows) {
  for (const WeightDtype dtype : kDtypes) {
    const Weight weight = make_weight(37, 9, dtype, 12);
    for (const auto& [first, count] : {std::pair<int64_t, int64_t>{0, 1}, {15, 2}, {20, 17}, {36, 1}, {5, 0}}) {
      std::vector<float> rows(static_cast<size_t>(count * 9 + 1), kCanary);
      weight.packed.unpack(first, count, rows.data());
      EXPECT_EQ(rows.back(), kCanary);
      rows.pop_back();
      expect_same_bits(rows, std::span(weight.rows).subspan(first * 9, count * 9), cat("rows from ", first));
    }
  }
}

TEST(PackedMatrix, TransposedIsThePackingOfTheTransposed) {
  for (const int num_threads : {1, 3}) {
    ThreadPool pool(num_threads);
    for (const auto& [out, in] : kSizes) {
      const Weight weight = make_weight(out, in, WeightDtype::kF32, 13);
      PackedMatrix expected(in, out, WeightDtype::kF32);
      expected.pack(weight.rows.data(), 1, in);
      expect_same_bytes(weight.packed.transposed(pool), expected);

      const std::vector<uint16_t> bits = random_bf16(out * in, 14);
      std::vector<uint16_t> turned(bits.size());
      for (int64_t o = 0; o < out; ++o) {
        for (int64_t i = 0; i < in; ++i) turned[i * out + o] = bits[o * in + i];
      }
      PackedMatrix narrow(out, in, WeightDtype::kBf16), narrow_turned(in, out, WeightDtype::kBf16);
      narrow.pack(bits.data());
      narrow_turned.pack(turned.data());
      expect_same_bytes(narrow.transposed(pool), narrow_turned);
    }
  }
}

TEST(PackedMatrix, TransposedTwiceIsTheMatrix) {
  ThreadPool pool(2);
  for (const WeightDtype dtype : kDtypes) {
    for (const auto& [out, in] : kSizes) {
      const Weight weight = make_weight(out, in, dtype, 15);
      expect_same_bytes(weight.packed.transposed(pool).transposed(pool), weight.packed);
    }
  }
}

TEST(PackedMatrix, ScalesEachElementOnce) {
  const std::vector<float> w = random_values(19 * 6, 16);
  PackedMatrix matrix(19, 6, WeightDtype::kF32);
  for (const float scale : {2.0f, 0.3f, -1.0f, 0.0f}) {
    matrix.pack(w.data(), 6, 1, scale);
    std::vector<float> expected;
    for (const float value : w) expected.push_back(scale * value);
    expect_same_bits(unpacked(matrix), expected, cat("scale ", scale));
  }
}

TEST(PackedMatrix, ReadsAPartOfAMatrixByStrides) {
  // Elements (o, i) of a [40, 20] matrix from (3, 5) on, every second row: strides 40 and 1; and transposed.
  const std::vector<float> w = random_values(40 * 20, 17);
  PackedMatrix matrix(18, 7, WeightDtype::kF32), turned(7, 18, WeightDtype::kF32);
  matrix.pack(&w[3 * 20 + 5], 40, 1);
  turned.pack(&w[3 * 20 + 5], 1, 40);
  const std::vector<float> rows = unpacked(matrix), columns = unpacked(turned);
  for (int64_t o = 0; o < 18; ++o) {
    for (int64_t i = 0; i < 7; ++i) {
      EXPECT_EQ(rows[o * 7 + i], w[(3 + 2 * o) * 20 + 5 + i]);
      EXPECT_EQ(columns[i * 18 + o], w[(3 + 2 * o) * 20 + 5 + i]);
    }
  }
}

TEST(PackedMatrix, PackingAgainReplacesAll) {
  const Weight second = make_weight(21, 11, WeightDtype::kF32, 19);
  Weight matrix = make_weight(21, 11, WeightDtype::kF32, 18);
  matrix.packed.pack(second.rows.data(), 11, 1);
  expect_same_bytes(matrix.packed, second.packed);
}

TEST(PackedMatrix, PanelsAreAlignedAndEndInZeros) {
  for (const WeightDtype dtype : kDtypes) {
    for (const auto& [out, in] : kSizes) {
      const Weight weight = make_weight(out, in, dtype, 20);
      const PackedMatrix& matrix = weight.packed;
      EXPECT_EQ(matrix.num_panels(), (out + 15) / 16);
      const int64_t step = dtype == WeightDtype::kF32 ? 1 : 2;
      for (int64_t panel = 0; panel < matrix.num_panels(); ++panel) {
        for (int64_t k = 0; k < in; k += step) {
          const void* p = matrix.panel(panel, k);
          ASSERT_EQ(reinterpret_cast<uintptr_t>(p) % 64, 0u);
          for (int64_t lane = 0; lane < 16; ++lane) {
            uint32_t word = 0;
            std::memcpy(&word, static_cast<const std::byte*>(p) + lane * 4, 4);
            const int64_t o = panel * 16 + lane;
            const auto bits = [&, out = out, in = in](int64_t i) {
              return o < out && i < in ? std::bit_cast<uint32_t>(weight.rows[o * in + i]) : 0u;
            };
            const uint32_t pair = bits(k) >> 16 | (bits(k + 1) & 0xffff0000u);
            ASSERT_EQ(word, step == 1 ? bits(k) : pair) << "output " << o << ", input " << k;
          }
        }
      }
    }
  }
}

TEST(PackedMatrix, RoomBehindItLeavesItAsItIs) {
  ThreadPool pool(1);
  for (const WeightDtype dtype : kDtypes) {
    for (const auto& [out, in] : kSizes) {
      SCOPED_TRACE(cat(out, " x ", in));
      Weight weight = make_weight(out, in, dtype, 22);
      const PackedMatrix transposed = weight.packed.transposed(pool);
      const size_t num_bytes = weight.packed.num_bytes();
      const std::vector<float> first_rows = random_values(out * 3, 23), second_rows = random_values(out * 2, 24);
      const auto expect_kept = [&](int64_t room) {
        EXPECT_EQ(weight.packed.num_bytes(), num_bytes + static_cast<size_t>(weight.packed.num_panels() * room) * 64);
        expect_same_bits(unpacked(weight.packed), weight.rows, "the matrix");
        expect_same_bytes(weight.packed.transposed(pool), transposed);
      };
      weight.packed.make_room(3);
      PackedMatrix first = weight.packed.in_room(0, 3);
      EXPECT_EQ(first.panel(0, 0), weight.packed.bytes() + num_bytes / static_cast<size_t>(first.num_panels()));
      first.pack(first_rows.data(), 3, 1);
      expect_kept(3);
      weight.packed.make_room(5);  // moves, and what was there with it
      weight.packed.in_room(3, 2).pack(second_rows.data(), 2, 1);
      const std::byte* where = weight.packed.bytes();
      weight.packed.make_room(4);
      EXPECT_EQ(weight.packed.bytes(), where) << "there is more";
      expect_kept(5);
      expect_same_bits(unpacked(weight.packed.in_room(0, 3)), first_rows, "first");
      expect_same_bits(unpacked(weight.packed.in_room(3, 2)), second_rows, "second");
      expect_same_bits(unpacked(first), first_rows, "where it was");
      EXPECT_THROW(weight.packed.in_room(3, 3), std::logic_error);
      EXPECT_THROW(weight.packed.in_room(-1, 2), std::logic_error);
    }
  }
}

TEST(PackedMatrix, PackingAgainLeavesTheRoom) {
  for (const WeightDtype dtype : kDtypes) {
    Weight weight = make_weight(35, 7, dtype, 25);
    const std::vector<float> behind = random_values(35 * 2, 26);
    weight.packed.make_room(2);
    weight.packed.in_room(0, 2).pack(behind.data(), 2, 1);
    std::vector<float> rows;
    if (dtype == WeightDtype::kF32) {
      rows = random_values(35 * 7, 27);
      weight.packed.pack(rows.data(), 7, 1);
    } else {
      const std::vector<uint16_t> bits = random_bf16(35 * 7, 27);
      for (const uint16_t value : bits) rows.push_back(widen(value));
      weight.packed.pack(bits.data());
    }
    expect_same_bits(unpacked(weight.packed), rows, "the matrix");
    expect_same_bits(unpacked(weight.packed.in_room(0, 2)), behind, "the room");
  }
}

TEST(PackedMatrix, BadUseIsABug) {
  EXPECT_THROW(PackedMatrix(0, 4, WeightDtype::kF32), std::logic_error);
  EXPECT_THROW(PackedMatrix(4, 0, WeightDtype::kBf16), std::logic_error);
  EXPECT_THROW(PackedMatrix(-16, -16, WeightDtype::kF32), std::logic_error);
  const std::vector<float> w(4);
  const std::vector<uint16_t> bits(4);
  EXPECT_THROW(PackedMatrix(2, 2, WeightDtype::kBf16).pack(w.data(), 2, 1), std::logic_error);
  EXPECT_THROW(PackedMatrix(2, 2, WeightDtype::kF32).pack(bits.data()), std::logic_error);
  EXPECT_THROW(PackedMatrix::narrow(2, 2).unpack(0, 2, std::vector<float>(4).data()), std::logic_error);
}

TEST(PackedMatrix, MovesWithItsValues) {
  Weight weight = make_weight(18, 3, WeightDtype::kBf16, 21);
  const PackedMatrix moved = std::move(weight.packed);
  expect_same_bits(unpacked(moved), weight.rows, "moved");
}

}  // namespace
}  // namespace noregret::kernels
