#include "noregret/kernels/matrix.h"

#include <array>
#include <stdexcept>

#include "tests/kernels/matrix_cases.h"

namespace noregret::kernels {
namespace {

constexpr WeightDtype kDtypes[] = {WeightDtype::kF32, WeightDtype::kBf16};

struct Input {
  const Weight* weight;
  std::vector<float> x;  // [rows, in]
};

// Multiplies into rows that lie `gap` further apart than they are long, checks that nothing is written between them,
// and returns y without the gaps. x has rows apart as well, with NaN between them.
std::vector<float> product_of(ThreadPool& pool, int64_t num_rows, const std::vector<Input>& inputs,
                              const std::vector<float>* start, int64_t gap) {
  const int64_t out = inputs[0].weight->packed.out();
  std::vector<float> y = with_stride(start ? *start : std::vector<float>(static_cast<size_t>(num_rows * out), kNan),
                                     out, out + gap, kCanary);
  y.resize(y.size() + 16, kCanary);
  std::vector<std::vector<float>> spread;
  std::vector<Term> terms;
  for (const Input& input : inputs) {
    const int64_t in = input.weight->packed.in();
    spread.push_back(with_stride(input.x, in, in + gap, kNan));
    terms.push_back({&input.weight->packed, spread.back().data(), in + gap});
  }
  const Product product{y.data(), out + gap, start != nullptr, terms};
  multiply(pool, num_rows, {&product, 1});
  std::vector<float> dense;
  for (size_t i = 0; i < y.size(); ++i) {
    const auto row = static_cast<int64_t>(i) / (out + gap), column = static_cast<int64_t>(i) % (out + gap);
    if (row < num_rows && column < out) {
      dense.push_back(y[i]);
    } else {
      EXPECT_EQ(y[i], kCanary) << "row " << row << ", column " << column << " of " << out;
    }
  }
  return dense;
}

void expect_chains(const std::vector<float>& y, int64_t num_rows, const std::vector<Input>& inputs,
                   const std::vector<float>* start) {
  const int64_t out = inputs[0].weight->packed.out();
  for (int64_t r = 0; r < num_rows; ++r) {
    for (int64_t o = 0; o < out; ++o) {
      Chain chain(start ? (*start)[r * out + o] : 0.0f);
      for (const Input& input : inputs) {
        const int64_t in = input.weight->packed.in();
        const int64_t middle = input.weight->packed.is_halved() ? in / 2 : in;
        Chain upper;
        for (int64_t i = 0; i < in; ++i)
          (i < middle ? chain : upper).add(input.x[r * in + i], input.weight->rows[o * in + i]);
        if (middle < in) chain.join(upper);
      }
      ASSERT_NO_FATAL_FAILURE(chain.expect_is(y[r * out + o], cat("row ", r, ", output ", o)));
    }
  }
}

TEST(Multiply, EachOutputIsOneChainOfFmas) {
  ThreadPool pool(2);
  for (const WeightDtype dtype : kDtypes) {
    for (const int64_t out : {1, 8, 15, 17, 40}) {
      for (const int64_t in : {1, 2, 3, 511, 512, 513, 1100}) {
        const Weight weight = make_weight(out, in, dtype, 31);
        const std::vector<float> start = random_values(7 * out, 32);
        const std::vector<Input> inputs = {{&weight, random_values(7 * in, 33)}};
        SCOPED_TRACE(cat(out, " x ", in));
        for (const std::vector<float>* first : {static_cast<const std::vector<float>*>(nullptr), &start}) {
          for (const int64_t gap : {0, 3}) {
            const std::vector<float> y = product_of(pool, 7, inputs, first, gap);
            ASSERT_NO_FATAL_FAILURE(expect_chains(y, 7, inputs, first));
          }
        }
      }
    }
  }
}

// The first rows of 200, whatever number of them comes in one call, how many threads and which instruction set.
TEST(Multiply, ARowDependsOnNothingElse) {
  for (const WeightDtype dtype : kDtypes) {
    for (const auto& [out, in] : {std::pair<int64_t, int64_t>{17, 513}, {40, 3}, {16, 60}, {90, 64}}) {
      const Weight weight = make_weight(out, in, dtype, 34);
      const std::vector<float> x = random_values(200 * in, 35);
      std::vector<float> all;
      {
        const ForcedIsa portable(Isa::kPortable);
        ThreadPool one(1);
        all = product_of(one, 200, {{&weight, x}}, nullptr, 0);
        ASSERT_NO_FATAL_FAILURE(expect_chains(all, 200, {{&weight, x}}, nullptr));
      }
      for_each_setting([&, out = out, in = in](ThreadPool& pool) {
        for (const int64_t num_rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 95, 96, 97, 200}) {
          const std::vector<Input> inputs = {{&weight, {x.begin(), x.begin() + num_rows * in}}};
          const std::vector<float> y = product_of(pool, num_rows, inputs, nullptr, 5);
          expect_same_bits(y, std::span(all).first(num_rows * out), cat(num_rows, " rows, ", out, " x ", in));
        }
      });
    }
  }
}

TEST(Multiply, NarrowOutputsAreTheSumOfTwoChains) {
  for (const int64_t out : {1, 5, 8, 9}) {
    for (const int64_t in : {1, 2, 6, 511, 1410}) {
      const Weight weight = make_narrow(out, in, 37);
      EXPECT_EQ(weight.packed.is_halved(), out <= 8 && in % 2 == 0);
      const std::vector<float> x = random_values(200 * in, 38);
      std::vector<float> all;
      {
        const ForcedIsa portable(Isa::kPortable);
        ThreadPool one(1);
        all = product_of(one, 200, {{&weight, x}}, nullptr, 0);
        ASSERT_NO_FATAL_FAILURE(expect_chains(all, 200, {{&weight, x}}, nullptr)) << out << " x " << in;
      }
      for_each_setting([&, out = out, in = in](ThreadPool& pool) {
        for (const int64_t num_rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 40, 97, 200}) {
          const std::vector<Input> inputs = {{&weight, {x.begin(), x.begin() + num_rows * in}}};
          expect_same_bits(product_of(pool, num_rows, inputs, nullptr, 5), std::span(all).first(num_rows * out),
                           cat(num_rows, " rows, ", out, " x ", in));
        }
      });
    }
  }
}

TEST(Multiply, ANarrowMatrixIsItsProductsOnlyTerm) {
  ThreadPool pool(1);
  const Weight narrow = make_narrow(8, 6, 39), wide = make_weight(8, 6, WeightDtype::kF32, 40);
  const std::vector<float> x = random_values(6, 41);
  std::vector<float> y(8);
  const Term terms[] = {{&narrow.packed, x.data(), 6}, {&wide.packed, x.data(), 6}, {&narrow.packed, x.data(), 6}};
  const std::span<const Term> all = terms;
  for (const auto& [adds, some] : {std::pair{true, all.first(1)}, {false, all.first(2)}, {false, all.subspan(1)}}) {
    const Product product = {y.data(), 8, adds, some};
    EXPECT_THROW(multiply(pool, 1, {&product, 1}), std::logic_error);
  }
}

TEST(Multiply, TermsGoOnInOneChain) {
  ThreadPool pool(3);
  const Weight base = make_weight(37, 515, WeightDtype::kBf16, 41);
  const Weight low_rank = make_weight(37, 8, WeightDtype::kF32, 42);
  const Weight third = make_weight(37, 1, WeightDtype::kBf16, 43);
  for (const int64_t num_rows : {1, 5, 98}) {
    const std::vector<float> start = random_values(num_rows * 37, 44);
    const std::vector<Input> inputs = {{&base, random_values(num_rows * 515, 45)},
                                       {&low_rank, random_values(num_rows * 8, 46)},
                                       {&third, random_values(num_rows, 47)}};
    for (const std::vector<float>* first : {static_cast<const std::vector<float>*>(nullptr), &start}) {
      const std::vector<float> y = product_of(pool, num_rows, inputs, first, 2);
      ASSERT_NO_FATAL_FAILURE(expect_chains(y, num_rows, inputs, first));
    }
  }
}

TEST(Multiply, ProductsOfOneCallAreThoseOfTheirOwnCalls) {
  const std::vector<int64_t> outs = {70, 1, 16, 333, 48};
  std::vector<Weight> weights, adapters;
  for (size_t i = 0; i < outs.size(); ++i) {
    weights.push_back(make_weight(outs[i], 65, kDtypes[i % 2], 50 + i));
    adapters.push_back(make_weight(outs[i], 4, WeightDtype::kF32, 60 + i));
  }
  for (const int64_t num_rows : {1, 3, 97}) {
    const std::vector<float> x = random_values(num_rows * 65, 48);
    const std::vector<float> low = random_values(num_rows * 4, 49);
    ThreadPool one(1);
    std::vector<float> expected;
    for (size_t i = 0; i < outs.size(); ++i) {
      const std::vector<float> start(static_cast<size_t>(num_rows * outs[i]), 0.5f);
      std::vector<Input> inputs = {{&weights[i], x}};
      if (i % 2 == 1) inputs.push_back({&adapters[i], low});
      const std::vector<float> y = product_of(one, num_rows, inputs, i % 3 == 0 ? &start : nullptr, 0);
      ASSERT_NO_FATAL_FAILURE(expect_chains(y, num_rows, inputs, i % 3 == 0 ? &start : nullptr));
      expected.insert(expected.end(), y.begin(), y.end());
    }
    const std::vector<float> together = same_in_all_settings([&](ThreadPool& pool) {
      std::vector<float> y(expected.size() + 16, kCanary);
      std::vector<std::array<Term, 2>> terms;
      for (size_t i = 0; i < outs.size(); ++i)
        terms.push_back({Term{&weights[i].packed, x.data(), 65}, Term{&adapters[i].packed, low.data(), 4}});
      std::vector<Product> products;
      float* next = y.data();
      for (size_t i = 0; i < outs.size(); ++i) {
        std::fill_n(next, num_rows * outs[i], i % 3 == 0 ? 0.5f : kNan);
        products.push_back({next, outs[i], i % 3 == 0, std::span(terms[i]).first(1 + i % 2)});
        next += num_rows * outs[i];
      }
      multiply(pool, num_rows, products);
      for (size_t i = expected.size(); i < y.size(); ++i) EXPECT_EQ(y[i], kCanary);
      y.resize(expected.size());
      return y;
    });
    expect_same_bits(together, expected, cat(num_rows, " rows"));
  }
}

// x W^T + (x A^T) B^T at linears of one x and of another: as three calls one after the other, and with first halves
// made first, narrow ones side by side.
TEST(Multiply, TermsThatWaitReadWhatIsMadeFirst) {
  constexpr int64_t kIn = 800, kRank = 8, kStride = 16;
  const std::vector<int64_t> outs = {333, 48, 16, 20, 7, 64, 90, 33};
  const size_t num_sites = outs.size();
  std::vector<Weight> bases, shrinks, expands;
  for (size_t i = 0; i < num_sites; ++i) {
    bases.push_back(make_weight(outs[i], kIn, kDtypes[i % 2], 100 + i));
    const bool is_wide = i == 6;
    shrinks.push_back(is_wide ? make_weight(kStride + 1, kIn, WeightDtype::kF32, 120 + i)
                              : make_narrow(kRank, kIn, 120 + i));
    expands.push_back(make_weight(outs[i], kRank, WeightDtype::kF32, 140 + i));
    if (i % 3 == 2) continue;
    // As adapters have them.
    bases[i].packed.make_room(kRank);
    expands[i].packed = bases[i].packed.in_room(0, kRank);
    expands[i].packed.pack(expands[i].rows.data(), kRank, 1);
  }
  for (const int64_t num_rows : {1, 5, 17, 40, 200}) {
    const std::vector<float> inputs[] = {random_values(num_rows * kIn, 77), random_values(num_rows * kIn, 78)};
    const auto run = [&](ThreadPool& pool, bool in_one_call) {
      std::vector<std::vector<float>> z, y;
      std::vector<std::array<Term, 3>> terms;
      std::vector<Product> first, products;
      terms.reserve(num_sites);
      for (size_t i = 0; i < num_sites; ++i) {
        const int64_t width = shrinks[i].packed.out() + 8;
        z.emplace_back(static_cast<size_t>(num_rows * width), kNan);
        y.emplace_back(static_cast<size_t>(num_rows * outs[i]), kNan);
        const float* x = inputs[i == 5 ? 1 : 0].data();
        terms.push_back({Term{&shrinks[i].packed, x, kIn}, Term{&bases[i].packed, x, kIn},
                         Term{&expands[i].packed, z[i].data(), width, in_one_call}});
        const std::span<const Term> all = terms.back();
        first.push_back({z[i].data(), width, false, all.first(1)});
        products.push_back({y[i].data(), outs[i], false, all.subspan(1, in_one_call ? 2 : 1)});
        if (in_one_call) continue;
        multiply(pool, num_rows, {&first[i], 1});
        multiply(pool, num_rows, {&products[i], 1});
        const Product rest = {y[i].data(), outs[i], true, all.subspan(2)};
        multiply(pool, num_rows, {&rest, 1});
      }
      if (in_one_call) multiply(pool, num_rows, products, first);
      std::vector<float> together;
      for (const std::vector<float>& part : y) together.insert(together.end(), part.begin(), part.end());
      return together;
    };
    ThreadPool one(1);
    const std::vector<float> apart = run(one, false);
    for (int repeat = 0; repeat < 3; ++repeat) {
      const std::vector<float> together = same_in_all_settings([&](ThreadPool& pool) { return run(pool, true); });
      expect_same_bits(together, apart, cat(num_rows, " rows"));
    }
  }
}

TEST(Multiply, OutputsOfManyTasksMeet) {
  // 41 panels: more than the 16 of a task, and a last one with 5 outputs; 193 rows: three blocks of 96.
  const Weight weight = make_weight(645, 20, WeightDtype::kBf16, 51);
  const std::vector<Input> inputs = {{&weight, random_values(193 * 20, 52)}};
  const std::vector<float> y =
      same_in_all_settings([&](ThreadPool& pool) { return product_of(pool, 193, inputs, nullptr, 1); });
  expect_chains(y, 193, inputs, nullptr);
}

TEST(Multiply, Bf16PanelsGiveTheBitsOfF32Panels) {
  for (const int64_t in : {1, 2, 64, 511, 513, 1025}) {
    const Weight narrow = make_weight(35, in, WeightDtype::kBf16, 53);
    Weight wide{narrow.rows, PackedMatrix(35, in, WeightDtype::kF32)};
    wide.packed.pack(wide.rows.data(), in, 1);
    for (const int64_t num_rows : {1, 2, 6, 11}) {
      const std::vector<float> x = random_values(num_rows * in, 54);
      for_each_setting([&](ThreadPool& pool) {
        expect_same_bits(product_of(pool, num_rows, {{&narrow, x}}, nullptr, 0),
                         product_of(pool, num_rows, {{&wide, x}}, nullptr, 0), cat(num_rows, " rows of ", in));
      });
    }
  }
}

TEST(Multiply, WhatIsNotFiniteStaysInItsRowAndOutput) {
  for (const WeightDtype dtype : kDtypes) {
    Weight weight = make_weight(21, 513, dtype, 55);
    std::vector<float> x = random_values(14 * 513, 56);
    x[9 * 513 + 512] = kNan;
    x[3 * 513] = kInfinity;
    for_each_setting([&](ThreadPool& pool) {
      const std::vector<float> y = product_of(pool, 14, {{&weight, x}}, nullptr, 2);
      for (int64_t r = 0; r < 14; ++r) {
        for (int64_t o = 0; o < 21; ++o) {
          EXPECT_EQ(std::isnan(y[r * 21 + o]), r == 9);
          EXPECT_EQ(std::isinf(y[r * 21 + o]), r == 3);
        }
      }
    });
  }
  Weight weight = make_weight(21, 5, WeightDtype::kF32, 57);
  weight.rows[20 * 5 + 4] = kNan;
  weight.packed.pack(weight.rows.data(), 5, 1);
  ThreadPool pool(2);
  const std::vector<float> y = product_of(pool, 4, {{&weight, random_values(20, 58)}}, nullptr, 0);
  for (int64_t i = 0; i < 4 * 21; ++i) EXPECT_EQ(std::isnan(y[i]), i % 21 == 20);
}

TEST(Multiply, NoRowsWriteNothing) {
  ThreadPool pool(2);
  const Weight weight = make_weight(20, 600, WeightDtype::kF32, 59);
  EXPECT_TRUE(product_of(pool, 0, {{&weight, {}}}, nullptr, 1).empty());
  multiply(pool, 5, {});
}

}  // namespace
}  // namespace noregret::kernels
