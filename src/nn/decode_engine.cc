#include "noregret/nn/decode_engine.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <bit>
#include <deque>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "nn/cuda_layer.h"
#include "noregret/base/check.h"
#include "noregret/tensor/cuda.h"

namespace noregret {

namespace cuda = kernels::cuda;

namespace {

constexpr int64_t kBuckets[] = {1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512};
// Exact products are made with powers of two of rows, from this on: no bucket is padded to them one by one.
constexpr int64_t kLeastExact = 16;
constexpr int64_t kPagesStep = 16;  // page tables grow by so many pages, so that few lengths need graphs of their own
constexpr int64_t kNumFields = 4;   // of a row: position, from, token, uniform

// A step's results on their way to the host.
struct Flight {
  Tensor input;  // pinned: int32 fields, then page tables
  Tensor ids, logprobs;
  CudaEvent done;
  int64_t num_rows = 0;
};

// What graphs of a bucket need beside the weights, where it lies while they live.
struct Bucket {
  std::shared_ptr<CudaPlan> plan;
  Tensor from, token, uniform;
  std::optional<CudaGraph> graph;
};
// Rows, tails of the matrices, temperature and exactness. All else that a graph holds on to is the same for all of
// them.
using BucketKey = std::tuple<int64_t, std::vector<int64_t>, float, bool>;

}  // namespace

int64_t decode_bucket(int64_t num_rows, bool is_exact) {
  if (is_exact) return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max(num_rows, kLeastExact))));
  for (const int64_t bucket : kBuckets) {
    if (num_rows <= bucket) return bucket;
  }
  return (num_rows + 255) / 256 * 256;
}

struct DecodeEngine::State {
  explicit State(const CausalLm& of) : model(of) {}

  at::TensorOptions on_device(at::ScalarType dtype) const { return at::TensorOptions(dtype).device(model.device()); }

  // Tensors that all buckets share, large enough for the rows.
  void make_room(int64_t num_rows) {
    if (capacity >= num_rows && table_pages >= max_pages) return;
    NOREGRET_CHECK(in_flight.empty(), "steps are queued");
    capacity = std::max(capacity, num_rows);
    table_pages = std::max(table_pages, max_pages);
    drop_graphs();
    input = at::zeros({capacity * (kNumFields + table_pages)}, on_device(at::kInt));
    ids = at::zeros({capacity}, on_device(at::kLong));
    logprobs = at::zeros({capacity}, on_device(at::kFloat));
    sequences = at::arange(capacity, on_device(at::kInt));
    for (Flight& flight : flights) {
      flight.input = pinned({input.size(0)}, at::kInt);
      flight.ids = pinned({capacity}, at::kLong);
      flight.logprobs = pinned({capacity}, at::kFloat);
    }
  }

  void drop_graphs() {
    buckets.clear();
    pool = nullptr;  // a pool ends with its graphs
  }

  Bucket& bucket_for(int64_t size) {
    const BucketKey key(size, model.cuda_weights().tails(), temperature, model.is_exact());
    const auto [found, is_new] = buckets.try_emplace(key);
    Bucket& bucket = found->second;
    if (!is_new) return bucket;
    auto plan = std::make_shared<CudaPlan>();
    plan->num_rows = size;
    plan->is_exact = model.is_exact();
    plan->reads_pages = true;
    plan->is_step = true;
    plan->positions = input.narrow(0, 0, size);
    plan->rotation = model.rotary();
    plan->tables = input.narrow(0, kNumFields * size, size * table_pages).view({size, table_pages});
    plan->sequences = sequences.narrow(0, 0, size);
    plan->max_length = table_pages * kernels::kPageSize;
    const int64_t bytes = cuda::attention_scratch_bytes(size, cuda_kv_shape(model.config()), plan->max_length);
    plan->scratch = at::zeros({bytes}, on_device(at::kByte));
    bucket.plan = std::move(plan);
    bucket.from = input.narrow(0, size, size);
    bucket.token = input.narrow(0, 2 * size, size);
    bucket.uniform = input.narrow(0, 3 * size, size);
    return bucket;
  }

  // The step: reads `input` and the tokens before, leaves the new ones.
  void run(const Bucket& bucket) {
    const int64_t size = bucket.plan->num_rows;
    const HfConfig& config = model.config();
    CUstream_st* stream = current_stream(model.device());
    const Tensor table = model.embedding_weight();
    const Tensor embedded = at::empty({size, config.hidden_size}, on_device(at::kBFloat16));
    cuda::gather_tokens(stream, size, config.hidden_size, bucket.from.const_data_ptr<int32_t>(),
                        bucket.token.const_data_ptr<int32_t>(), ids.const_data_ptr<int64_t>(), bf16_data(table),
                        table.stride(0), bf16_data(embedded));
    ForwardPlan plan;
    plan.cuda = bucket.plan;
    const Tensor logits = model.logits(model.layers(embedded, plan, policy, cache), policy);
    cuda::sample(stream, size, logits.size(1), logits.const_data_ptr<float>(), temperature,
                 static_cast<const float*>(bucket.uniform.const_data_ptr()), ids.mutable_data_ptr<int64_t>(),
                 logprobs.mutable_data_ptr<float>());
  }

  // The first step of a bucket runs as it is, which also makes ready all that cannot be made ready in a capture; then
  // it is captured.
  void launch(Bucket& bucket) {
    bucket.plan->cache = cache;
    if (bucket.graph) {
      bucket.graph->replay();
    } else {
      run(bucket);
      if (pool == nullptr) pool = CudaGraph::make_pool();
      bucket.graph.emplace(pool, [&] { run(bucket); });
    }
    bucket.plan->cache = nullptr;
  }

  // Rows beyond the given ones read and write the page that belongs to no slot.
  void fill(Flight& flight, std::span<const DecodeRow> rows, int64_t size) {
    auto* fields = flight.input.mutable_data_ptr<int32_t>();
    int32_t* tables = fields + kNumFields * size;
    std::fill(tables, tables + size * table_pages, cache->spare_page());
    for (int64_t i = 0; i < size; ++i) {
      const bool is_row = i < static_cast<int64_t>(rows.size());
      const DecodeRow row = is_row ? rows[static_cast<size_t>(i)] : DecodeRow{};
      fields[i] = static_cast<int32_t>(row.position);
      fields[size + i] = row.from;
      fields[2 * size + i] = static_cast<int32_t>(row.token);
      fields[3 * size + i] = std::bit_cast<int32_t>(row.uniform);
      if (!is_row) continue;
      NOREGRET_CHECK(cache->length(row.slot) == row.position, "slot ", row.slot, " holds ", cache->length(row.slot),
                     " tokens, the next is at ", row.position);
      const int32_t* pages = cache->reserve(row.slot, row.position + 1);
      std::copy_n(pages, row.position / kernels::kPageSize + 1, tables + i * table_pages);
      cache->advance(row.slot, 1);
    }
  }

  // Of the weights (how often they moved), and of the cache's keys and values.
  using Places = std::tuple<int64_t, const void*, const void*>;

  const CausalLm& model;
  Places places;
  AdapterStack policy;
  KvCache* cache = nullptr;
  float temperature = 1.0f;
  int64_t max_pages = 0;  // a table of this cache has so many, rounded up

  int64_t capacity = 0, table_pages = 0;
  Tensor input, ids, logprobs, sequences;
  Flight flights[kMaxQueued];
  std::deque<Flight*> in_flight;  // the oldest first
  int64_t num_started = 0;
  std::shared_ptr<CudaGraph::Pool> pool;
  std::map<BucketKey, Bucket> buckets;
};

DecodeEngine::DecodeEngine(const CausalLm& model) : state_(std::make_unique<State>(model)) {
  NOREGRET_CHECK(model.backend() == Backend::kCuda);
}
DecodeEngine::~DecodeEngine() = default;

bool DecodeEngine::is_for(const CausalLm& model) const { return &state_->model == &model; }

void DecodeEngine::begin(const AdapterStack& policy, KvCache& cache, double temperature) {
  State& s = *state_;
  while (!s.in_flight.empty()) take();  // of a rollout that was given up
  s.policy = policy;
  s.cache = &cache;
  s.temperature = static_cast<float>(temperature);
  const int64_t pages = (cache.max_length() + kernels::kPageSize - 1) / kernels::kPageSize;
  s.max_pages = (pages + kPagesStep - 1) / kPagesStep * kPagesStep;
  s.model.cuda_weights().attach(policy);
  const State::Places places(s.model.cuda_weights().num_moves, cache.keys(0).const_data_ptr(),
                             cache.values(0).const_data_ptr());
  if (places != s.places) s.drop_graphs();
  s.places = places;
  s.make_room(decode_bucket(cache.num_slots(), s.model.is_exact()));
}

void DecodeEngine::queue(std::span<const DecodeRow> rows) {
  State& s = *state_;
  NOREGRET_CHECK(!rows.empty() && num_queued() < kMaxQueued, rows.size(), " rows, ", num_queued(), " steps queued");
  const int64_t size = decode_bucket(static_cast<int64_t>(rows.size()), s.model.is_exact());
  NOREGRET_CHECK(size <= s.capacity, rows.size(), " rows, room for ", s.capacity);
  Flight& flight = s.flights[s.num_started++ % kMaxQueued];
  s.fill(flight, rows, size);
  const int64_t length = size * (kNumFields + s.table_pages);
  s.input.narrow(0, 0, length).copy_(flight.input.narrow(0, 0, length), /*non_blocking=*/true);
  s.launch(s.bucket_for(size));
  flight.num_rows = static_cast<int64_t>(rows.size());
  flight.ids.narrow(0, 0, flight.num_rows).copy_(s.ids.narrow(0, 0, flight.num_rows), true);
  flight.logprobs.narrow(0, 0, flight.num_rows).copy_(s.logprobs.narrow(0, 0, flight.num_rows), true);
  flight.done.record(s.model.device());
  s.in_flight.push_back(&flight);
}

DecodeEngine::Step DecodeEngine::take() {
  State& s = *state_;
  NOREGRET_CHECK(!s.in_flight.empty());
  const Flight& flight = *s.in_flight.front();
  s.in_flight.pop_front();
  flight.done.wait();
  const auto* ids = flight.ids.const_data_ptr<int64_t>();
  const auto* logprobs = flight.logprobs.const_data_ptr<float>();
  return {{ids, ids + flight.num_rows}, {logprobs, logprobs + flight.num_rows}};
}

int64_t DecodeEngine::num_queued() const { return static_cast<int64_t>(state_->in_flight.size()); }

}  // namespace noregret
