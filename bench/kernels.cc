// Times of the CPU kernels beside what the machine can do at most, and products beside LibTorch's.
//
//   kernels_bench [--threads=N] [--benchmark_filter=REGEX] [--benchmark_out=FILE --benchmark_out_format=json]
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "bench/ceiling.h"
#include "bench/library_gemm.h"
#include "noregret/base/clock.h"
#include "noregret/base/rng.h"
#include "noregret/base/text.h"
#include "noregret/kernels/attention.h"
#include "noregret/kernels/isa.h"
#include "noregret/kernels/matrix.h"
#include "noregret/kernels/rows.h"

namespace noregret::bench {
namespace {

using kernels::PackedMatrix;
using kernels::Product;
using kernels::Term;
using kernels::WeightDtype;

constexpr int64_t kColdBytes = int64_t{96} << 20;  // of copies of a weight that take turns: beyond the last cache

struct Machine {
  kernels::ThreadPool& pool;
  Ceiling ceiling;
};

// Columns of a benchmark that took `seconds` for its loop.
void set_rates(benchmark::State& state, const Machine& machine, double seconds, double flops, double bytes) {
  const double calls = static_cast<double>(state.iterations());
  const double gflops = flops * calls / seconds * 1e-9;
  const double gb_per_s = bytes * calls / seconds * 1e-9;
  if (flops > 0) {
    state.counters["GFLOP/s"] = gflops;
    state.counters["%ofFMA"] = 100.0 * gflops / machine.ceiling.gflops;
  }
  if (bytes > 0) {
    state.counters["GB/s"] = gb_per_s;
    state.counters["%ofRead"] = 100.0 * gb_per_s / machine.ceiling.gb_per_s;
  }
}

// Runs the loop and fills in the columns.
template <class Work>
void time_loop(benchmark::State& state, const Machine& machine, double flops, double bytes, const Work& work) {
  work();
  const Stopwatch watch;
  for (auto _ : state) work();
  set_rates(state, machine, watch.seconds(), flops, bytes);
}

std::vector<float> random_floats(int64_t count, float scale) {
  Rng rng = Rng::stream(1, Purpose::kInit, {static_cast<uint64_t>(count)});
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = rng.uniform(-scale, scale);
  return values;
}

// ---- products

struct Shape {
  const char* name;
  int64_t out, in;
};
// SmolLM2-135M's: q, k and v side by side; gate and up, each; down; the head.
constexpr Shape kShapes[] = {{"qkv", 960, 576}, {"up", 1536, 576}, {"down", 576, 1536}, {"head", 49152, 576}};

const char* name_of(WeightDtype dtype) { return dtype == WeightDtype::kF32 ? "f32" : "bf16"; }

PackedMatrix packed(const std::vector<float>& weight, const Shape& shape, WeightDtype dtype) {
  PackedMatrix matrix(shape.out, shape.in, dtype);
  if (dtype == WeightDtype::kF32) {
    matrix.pack(weight.data(), shape.in, 1);
    return matrix;
  }
  std::vector<uint16_t> bits(weight.size());
  for (size_t i = 0; i < weight.size(); ++i) {
    uint32_t word;
    std::memcpy(&word, &weight[i], sizeof word);
    bits[i] = static_cast<uint16_t>(word >> 16);
  }
  matrix.pack(bits.data());
  return matrix;
}

// Copies of one weight that take turns.
class ColdWeights {
 public:
  ColdWeights(const std::vector<float>& weight, const Shape& shape, WeightDtype dtype) {
    matrices_.push_back(packed(weight, shape, dtype));
    const int64_t num_bytes = static_cast<int64_t>(matrices_.front().num_bytes());
    while (static_cast<int64_t>(matrices_.size()) * num_bytes < kColdBytes)
      matrices_.push_back(packed(weight, shape, dtype));
  }
  const PackedMatrix& next() { return matrices_[turn_++ % matrices_.size()]; }

 private:
  std::vector<PackedMatrix> matrices_;
  size_t turn_ = 0;
};

void add_gemm(const Machine& machine, const Shape& shape, WeightDtype dtype, int64_t num_rows) {
  const auto run = [=](benchmark::State& state) {
    ColdWeights weights(random_floats(shape.out * shape.in, 0.05f), shape, dtype);
    const std::vector<float> x = random_floats(num_rows * shape.in, 1.0f);
    std::vector<float> y(static_cast<size_t>(num_rows * shape.out));
    const double bytes = static_cast<double>(weights.next().num_bytes());
    time_loop(state, machine, 2.0 * static_cast<double>(num_rows * shape.out * shape.in), bytes, [&] {
      const Term term{&weights.next(), x.data(), shape.in};
      const Product product{y.data(), shape.out, false, {&term, 1}};
      kernels::multiply(machine.pool, num_rows, {&product, 1});
    });
  };
  const std::string name = cat("gemm/", shape.name, "/", name_of(dtype), "/M:", num_rows);
  benchmark::RegisterBenchmark(name.c_str(), run)->UseRealTime();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

// Ours and each of the library's ways in turn, some tens of milliseconds each, with a pause in which the other side's
// idle threads stop looking out for work. The columns are medians of these rounds.
void add_comparison(const Machine& machine, const Shape& shape, WeightDtype dtype, int64_t num_rows) {
  const auto run = [=](benchmark::State& state) {
    const std::vector<float> weight = random_floats(shape.out * shape.in, 0.05f);
    ColdWeights weights(weight, shape, dtype);
    const int64_t num_copies = std::max<int64_t>(1, kColdBytes / (shape.out * shape.in * 4));
    LibraryGemm library(weight, shape.out, shape.in, num_copies, num_rows, machine.pool.num_threads());
    const std::vector<float> x = random_floats(num_rows * shape.in, 1.0f);
    std::vector<float> y(static_cast<size_t>(num_rows * shape.out));
    const double flops = 2.0 * static_cast<double>(num_rows * shape.out * shape.in);
    const int64_t num_calls = std::max<int64_t>(1, static_cast<int64_t>(2e9 / flops));
    int64_t turn = 0;
    const auto seconds_of = [&](const std::function<void()>& call) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      call();
      const Stopwatch watch;
      for (int64_t i = 0; i < num_calls; ++i) call();
      return watch.seconds() / static_cast<double>(num_calls);
    };
    std::vector<double> ours;
    std::map<std::string, std::vector<double>> theirs;
    for (auto _ : state) {
      ours.push_back(seconds_of([&] {
        const Term term{&weights.next(), x.data(), shape.in};
        const Product product{y.data(), shape.out, false, {&term, 1}};
        kernels::multiply(machine.pool, num_rows, {&product, 1});
      }));
      state.SetIterationTime(ours.back());
      for (const LibraryGemm::Way& way : library.ways())
        theirs[way.name].push_back(seconds_of([&] { way.run(turn++ % num_copies); }));
    }
    const double gflops = flops / median(ours) * 1e-9;
    double best = 0.0;
    for (const auto& [name, seconds] : theirs) {
      const double rate = flops / median(seconds) * 1e-9;
      state.counters[name] = rate;
      best = std::max(best, rate);
    }
    state.counters["GFLOP/s"] = gflops;
    state.counters["%ofFMA"] = 100.0 * gflops / machine.ceiling.gflops;
    state.counters["ratio"] = gflops / best;
  };
  const std::string name = cat("gemm_vs_library/", shape.name, "/", name_of(dtype), "/M:", num_rows);
  benchmark::RegisterBenchmark(name.c_str(), run)->UseManualTime()->Iterations(9);
}

// ---- attention

constexpr kernels::KvShape kHeads{9, 3, 64};  // SmolLM2-135M's

// Sequences with `context` positions each, the last `num_rows` of which are asked for.
void add_attention(const Machine& machine, const char* what, int64_t num_sequences, int64_t num_rows, int64_t context) {
  const auto run = [=](benchmark::State& state) {
    const int64_t num_pages = (context + kernels::kPageSize - 1) / kernels::kPageSize;
    std::vector<float> keys = random_floats(num_sequences * num_pages * kHeads.key_page(), 1.0f);
    std::vector<float> values = random_floats(num_sequences * num_pages * kHeads.value_page(), 1.0f);
    std::vector<int32_t> pages(static_cast<size_t>(num_sequences * num_pages));
    std::vector<kernels::QuerySegment> segments;
    for (size_t i = 0; i < pages.size(); ++i) pages[i] = static_cast<int32_t>(i);
    for (int64_t s = 0; s < num_sequences; ++s)
      segments.push_back({s * num_rows, num_rows, context - num_rows, pages.data() + s * num_pages});
    const int64_t width = kHeads.num_heads * kHeads.head_dim;
    const std::vector<float> q = random_floats(num_sequences * num_rows * width, 1.0f);
    std::vector<float> y(q.size());
    // A row sees its own position and those before.
    const double num_keys = static_cast<double>(num_rows * (context - num_rows) + num_rows * (num_rows + 1) / 2);
    const double flops = 4.0 * static_cast<double>(num_sequences * width) * num_keys;
    const double bytes =
        4.0 * static_cast<double>(num_sequences * num_pages * (kHeads.key_page() + kHeads.value_page()));
    time_loop(state, machine, flops, bytes, [&] {
      kernels::attention(machine.pool, kHeads, segments, q.data(), {keys.data(), values.data()}, y.data());
    });
  };
  const std::string name = cat("attention/", what, "/B:", num_sequences, "/context:", context);
  benchmark::RegisterBenchmark(name.c_str(), run)->UseRealTime();
}

// ---- rows

constexpr int64_t kHidden = 576, kInner = 1536, kVocab = 49152;

void add_rms_norm(const Machine& machine, int64_t num_rows) {
  const auto run = [=](benchmark::State& state) {
    const std::vector<float> x = random_floats(num_rows * kHidden, 1.0f);
    const std::vector<float> weight = random_floats(kHidden, 1.0f);
    std::vector<float> y(x.size());
    time_loop(state, machine, 0.0, 8.0 * static_cast<double>(x.size()), [&] {
      kernels::rms_norm(machine.pool, num_rows, kHidden, x.data(), weight.data(), 1e-5f, y.data(), nullptr);
    });
  };
  benchmark::RegisterBenchmark(cat("rms_norm/M:", num_rows).c_str(), run)->UseRealTime();
}

void add_swiglu(const Machine& machine, int64_t num_rows) {
  const auto run = [=](benchmark::State& state) {
    const std::vector<float> gate = random_floats(num_rows * kInner, 3.0f);
    const std::vector<float> up = random_floats(num_rows * kInner, 1.0f);
    std::vector<float> y(gate.size());
    time_loop(state, machine, 0.0, 12.0 * static_cast<double>(y.size()),
              [&] { kernels::swiglu(machine.pool, num_rows, kInner, gate.data(), up.data(), y.data()); });
  };
  benchmark::RegisterBenchmark(cat("swiglu/M:", num_rows).c_str(), run)->UseRealTime();
}

void add_token_scores(const Machine& machine, int64_t num_rows) {
  const auto run = [=](benchmark::State& state) {
    const std::vector<float> logits = random_floats(num_rows * kVocab, 8.0f);
    const std::vector<int64_t> targets(static_cast<size_t>(num_rows), 7);
    std::vector<float> logprobs(static_cast<size_t>(num_rows)), entropy(static_cast<size_t>(num_rows));
    time_loop(state, machine, 0.0, 4.0 * static_cast<double>(logits.size()), [&] {
      kernels::token_scores(machine.pool, num_rows, kVocab, logits.data(), targets.data(), 1.0f, logprobs.data(),
                            entropy.data());
    });
  };
  benchmark::RegisterBenchmark(cat("token_scores/M:", num_rows).c_str(), run)->UseRealTime();
}

void add_sample(const Machine& machine, int64_t num_rows) {
  const auto run = [=](benchmark::State& state) {
    const std::vector<float> logits = random_floats(num_rows * kVocab, 8.0f);
    const std::vector<float> uniforms(static_cast<size_t>(num_rows), 0.5f);
    std::vector<int64_t> tokens(static_cast<size_t>(num_rows));
    std::vector<float> logprobs(static_cast<size_t>(num_rows));
    bool is_finite = true;
    time_loop(state, machine, 0.0, 4.0 * static_cast<double>(logits.size()), [&] {
      is_finite &= kernels::sample(machine.pool, num_rows, kVocab, logits.data(), 1.0f, uniforms.data(), tokens.data(),
                                   logprobs.data());
    });
    if (!is_finite) state.SkipWithError("a logit is not finite");
  };
  benchmark::RegisterBenchmark(cat("sample/M:", num_rows).c_str(), run)->UseRealTime();
}

void add_all(const Machine& machine) {
  for (const Shape& shape : kShapes) {
    for (const WeightDtype dtype : {WeightDtype::kBf16, WeightDtype::kF32}) {
      for (const int64_t num_rows : {1, 2, 4, 8, 16, 32, 64, 128, 192}) add_gemm(machine, shape, dtype, num_rows);
    }
  }
  for (const Shape& shape : kShapes) {
    for (const WeightDtype dtype : {WeightDtype::kBf16, WeightDtype::kF32}) {
      for (const int64_t num_rows : {16, 32, 64}) add_comparison(machine, shape, dtype, num_rows);
    }
  }
  for (const int64_t num_sequences : {1, 8, 32}) {
    for (const int64_t context : {128, 512, 2048}) add_attention(machine, "decode", num_sequences, 1, context);
  }
  for (const int64_t context : {64, 512, 2048}) add_attention(machine, "prefill", 1, context, context);
  add_attention(machine, "prefill", 32, 128, 128);
  for (const int64_t num_rows : {1, 32, 1024}) add_rms_norm(machine, num_rows);
  for (const int64_t num_rows : {1, 32, 1024}) add_swiglu(machine, num_rows);
  for (const int64_t num_rows : {32, 256}) add_token_scores(machine, num_rows);
  for (const int64_t num_rows : {1, 32}) add_sample(machine, num_rows);
}

// Takes --threads=N out of the arguments.
int take_threads(int& argc, char** argv) {
  int num_threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], "--threads=", 10) == 0) {
      num_threads = std::atoi(argv[i] + 10);
    } else {
      argv[kept++] = argv[i];
    }
  }
  argc = kept;
  return num_threads;
}

}  // namespace
}  // namespace noregret::bench

int main(int argc, char** argv) {
  using namespace noregret;
  const int num_threads = bench::take_threads(argc, argv);
  benchmark::Initialize(&argc, argv);
  if (num_threads < 1 || benchmark::ReportUnrecognizedArguments(argc, argv)) return 64;
  kernels::ThreadPool pool(num_threads);
  const bench::Machine machine{pool, bench::measure_ceiling(pool)};
  benchmark::AddCustomContext("instruction set", std::string(kernels::isa_name(kernels::current_isa())));
  benchmark::AddCustomContext("threads", std::to_string(num_threads));
  benchmark::AddCustomContext("ceiling, GFLOP/s f32", cat(machine.ceiling.gflops));
  benchmark::AddCustomContext("ceiling, GB/s read", cat(machine.ceiling.gb_per_s));
  bench::add_all(machine);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
