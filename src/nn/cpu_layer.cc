#include "nn/cpu_layer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/core/ivalue.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <iterator>
#include <span>

#include "nn/cpu_linear.h"
#include "nn/cpu_pool.h"
#include "noregret/base/check.h"
#include "noregret/kernels/rows.h"

namespace noregret {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

float* data(const Tensor& tensor) { return tensor.mutable_data_ptr<float>(); }

struct Sizes {
  explicit Sizes(const HfConfig& config)
      : hidden(config.hidden_size),
        intermediate(config.intermediate_size),
        query(config.num_heads * config.head_dim),
        key(config.num_kv_heads * config.head_dim) {}
  int64_t hidden, intermediate, query, key;
};

// What a layer works out. The first nine are all that the backward pass needs beside the input; from q on they are of
// the rows whose results are wanted.
struct Values {
  float *inverse1, *k, *v, *q, *mixed, *attended, *inverse2, *gate, *up;
  float *normed, *activated;
};
constexpr size_t kNumSaved = 9;

struct RowCounts {
  RowCounts(const CpuPlan& plan, const CpuLayer& layer)
      : all(plan.num_rows), wanted(layer.rows.defined() ? layer.rows.size(0) : all), most(std::max(all, wanted)) {}
  int64_t all, wanted, most;
};

// [rows, columns] of the first nine.
std::array<std::array<int64_t, 2>, kNumSaved> saved_sizes(const Sizes& s, const RowCounts& n) {
  return {{{n.all, 1},
           {n.all, s.key},
           {n.all, s.key},
           {n.wanted, s.query},
           {n.wanted, s.query},
           {n.wanted, s.hidden},
           {n.wanted, 1},
           {n.wanted, s.intermediate},
           {n.wanted, s.intermediate}}};
}

// The wanted rows, as they follow each other, as queries of their segments; and their positions.
struct WantedQueries {
  WantedQueries(const CpuPlan& plan, const Tensor& rows) {
    for (const int64_t row : std::span(rows.const_data_ptr<int64_t>(), rows.numel())) {
      const auto behind = std::upper_bound(plan.segments.begin(), plan.segments.end(), row,
                                           [](int64_t r, const auto& segment) { return r < segment.first_row; });
      const kernels::QuerySegment& whole = *std::prev(behind);
      const int64_t position = whole.first_position + row - whole.first_row;
      const bool goes_on = !segments.empty() && segments.back().pages == whole.pages &&
                           segments.back().first_position + segments.back().num_rows == position;
      if (!goes_on) segments.push_back({std::ssize(positions), 0, position, whole.pages});
      ++segments.back().num_rows;
      positions.push_back(position);
    }
  }
  std::vector<kernels::QuerySegment> segments;
  std::vector<int64_t> positions;
};

// to[i] = from[rows[i]]
void gather_rows(const Tensor& rows, int64_t size, const float* from, float* to) {
  for (const int64_t row : std::span(rows.const_data_ptr<int64_t>(), rows.numel()))
    to = std::copy_n(from + row * size, size, to);
}

// to[rows[i]] += from[i], row after row
void scatter_rows(const Tensor& rows, int64_t size, const float* from, float* to) {
  for (const int64_t row : std::span(rows.const_data_ptr<int64_t>(), rows.numel())) {
    for (int64_t k = 0; k < size; ++k) to[row * size + k] += *from++;
  }
}

kernels::KvPages layer_pages(const CpuPlan& plan, int64_t index) {
  if (plan.cache != nullptr) return plan.cache->pages(index);
  return {data(plan.keys), data(plan.values)};
}

void write_pages(const CpuPlan& plan, const kernels::KvShape& shape, const kernels::KvPages& pages, const Values& at) {
  if (plan.pages.shared.empty()) {
    append_to_pages(cpu_pool(), shape, plan.segments, at.k, at.v, pages);
    return;
  }
  // A copied page must have its content, and a prefix comes before those that go on from it.
  size_t next = 0;
  for (size_t i = 0; i < plan.segments.size(); ++i) {
    for (; next < plan.pages.shared.size() && plan.pages.shared[next].segment == i; ++next) {
      const BatchPages::SharedPage& page = plan.pages.shared[next];
      copy_page(shape, pages, page.from, page.to, page.count);
    }
    append_to_pages(cpu_pool(), shape, {&plan.segments[i], 1}, at.k, at.v, pages);
  }
}

// The one forward: rollouts, scoring and the learner.
void run_forward(const CpuLayer& layer, CpuPlan& plan, const HfConfig& config, const float* x, const Values& at,
                 float* y) {
  const LayerWeights& w = *layer.weights;
  const Sizes s(config);
  const RowCounts counts(plan, layer);
  const int64_t n = counts.all, m = counts.wanted;
  const auto eps = static_cast<float>(layer.eps);
  const kernels::KvShape shape = kv_shape(config);
  kernels::ThreadPool& pool = cpu_pool();
  SitePanels& adapters = *layer.adapters;
  adapters.follow(*layer.stack);
  const int64_t site = layer.first_site;

  rms_norm(pool, n, s.hidden, x, data(w.input_norm), eps, at.normed, at.inverse1);
  const kernels::KvPages pages = layer_pages(plan, layer.index);
  const auto append = [&] {
    rotary(pool, n, config.num_kv_heads, config.head_dim, at.k, plan.rotation, plan.positions, false);
    write_pages(plan, shape, pages, at);
  };
  const auto attend = [&](std::span<const kernels::QuerySegment> queries, const int64_t* positions) {
    rotary(pool, m, config.num_heads, config.head_dim, at.q, plan.rotation, positions, false);
    attention(pool, shape, queries, at.q, pages, at.mixed);
  };
  if (layer.rows.defined()) {
    forward_linears(adapters, std::array<LinearSlot, 2>{{{&w.k, site + 1, at.k}, {&w.v, site + 2, at.v}}}, n, at.normed,
                    plan.low_rank);
    append();
    const Tensor normed = at::empty({m, s.hidden}, at::kFloat);
    gather_rows(layer.rows, s.hidden, at.normed, data(normed));
    forward_linears(adapters, std::array<LinearSlot, 1>{{{&w.q, site, at.q}}}, m, data(normed), plan.low_rank);
    const WantedQueries wanted(plan, layer.rows);
    attend(wanted.segments, wanted.positions.data());
    gather_rows(layer.rows, s.hidden, x, at.normed);
    x = at.normed;
  } else {
    forward_linears(adapters,
                    std::array<LinearSlot, 3>{{{&w.q, site, at.q}, {&w.k, site + 1, at.k}, {&w.v, site + 2, at.v}}}, n,
                    at.normed, plan.low_rank);
    append();
    attend(plan.segments, plan.positions);
  }
  forward_linears(adapters, std::array<LinearSlot, 1>{{{&w.o, site + 3, at.attended}}}, m, at.mixed, plan.low_rank);
  add(pool, m * s.hidden, x, at.attended);

  rms_norm(pool, m, s.hidden, at.attended, data(w.post_norm), eps, at.normed, at.inverse2);
  forward_linears(adapters, std::array<LinearSlot, 2>{{{&w.gate, site + 4, at.gate}, {&w.up, site + 5, at.up}}}, m,
                  at.normed, plan.low_rank);
  swiglu(pool, m, s.intermediate, at.gate, at.up, at.activated);
  forward_linears(adapters, std::array<LinearSlot, 1>{{{&w.down, site + 6, y}}}, m, at.activated, plan.low_rank);
  add(pool, m * s.hidden, at.attended, y);
}

// Gradients of everything from grad_y back to grad_x (null where it is not wanted). Uses up q k gate up of `at`.
void run_backward(const CpuLayer& layer, const CpuPlan& plan, const HfConfig& config, const float* x, const Values& at,
                  const Tensor& grad_y, float* grad_x, Gradients& gradients) {
  const LayerWeights& w = *layer.weights;
  const Sizes s(config);
  const RowCounts counts(plan, layer);
  const int64_t n = counts.all, m = counts.wanted;
  const auto eps = static_cast<float>(layer.eps);
  kernels::ThreadPool& pool = cpu_pool();
  const AdapterStack& stack = *layer.stack;
  const int64_t site = layer.first_site;
  const auto buffer = [](int64_t rows, int64_t size) { return at::empty({rows, size}, at::kFloat); };
  const auto of_all_rows = [&](const Tensor& of_wanted) {
    if (!layer.rows.defined()) return of_wanted;
    const int64_t size = of_wanted.size(1);
    const Tensor all = at::zeros({n, size}, at::kFloat);
    scatter_rows(layer.rows, size, data(of_wanted), data(all));
    return all;
  };

  swiglu(pool, m, s.intermediate, at.gate, at.up, at.activated);
  const Tensor grad_activated = buffer(m, s.intermediate);
  backward_linears(stack, std::array<LinearSlot, 1>{{{&w.down, site + 6, data(grad_y)}}}, m, at.activated,
                   data(grad_activated), false, gradients);
  swiglu_backward(pool, m, s.intermediate, at.gate, at.up, data(grad_activated));
  const Tensor grad_normed = buffer(counts.most, s.hidden);
  rms_norm(pool, m, s.hidden, at.attended, data(w.post_norm), eps, at.normed, nullptr);
  backward_linears(stack, std::array<LinearSlot, 2>{{{&w.gate, site + 4, at.gate}, {&w.up, site + 5, at.up}}}, m,
                   at.normed, data(grad_normed), false, gradients);
  if (float* grad = gradients.of(w.post_norm))
    kernels::rms_norm_weight_gradient(m, s.hidden, at.attended, at.inverse2, data(grad_normed), grad);
  Tensor grad_attended = grad_y.clone();
  rms_norm_backward(pool, m, s.hidden, at.attended, data(w.post_norm), at.inverse2, data(grad_normed),
                    data(grad_attended));

  Tensor grad_mixed = buffer(m, s.query);
  backward_linears(stack, std::array<LinearSlot, 1>{{{&w.o, site + 3, data(grad_attended)}}}, m, at.mixed,
                   data(grad_mixed), false, gradients);
  grad_mixed = of_all_rows(grad_mixed);
  grad_attended = of_all_rows(grad_attended);
  const float* q = at.q;
  Tensor all_q;  // those that are not wanted have no gradient, whatever they are
  if (layer.rows.defined()) {
    all_q = at::zeros({n, s.query}, at::kFloat);
    for (int64_t i = 0; i < m; ++i)
      std::copy_n(at.q + i * s.query, s.query, data(all_q) + layer.rows.const_data_ptr<int64_t>()[i] * s.query);
    q = data(all_q);
  }
  const Tensor grad_q = buffer(n, s.query), grad_k = buffer(n, s.key), grad_v = buffer(n, s.key);
  attention_backward(pool, kv_shape(config), plan.segments, plan.families, q, at.k, at.v, data(grad_mixed),
                     data(grad_q), data(grad_k), data(grad_v));
  rotary(pool, n, config.num_heads, config.head_dim, data(grad_q), plan.rotation, plan.positions, true);
  rotary(pool, n, config.num_kv_heads, config.head_dim, data(grad_k), plan.rotation, plan.positions, true);
  rms_norm(pool, n, s.hidden, x, data(w.input_norm), eps, at.normed, nullptr);
  float* grad_norm = gradients.of(w.input_norm);
  const bool needs_input = grad_x != nullptr || grad_norm != nullptr;
  backward_linears(stack,
                   std::array<LinearSlot, 3>{
                       {{&w.q, site, data(grad_q)}, {&w.k, site + 1, data(grad_k)}, {&w.v, site + 2, data(grad_v)}}},
                   n, at.normed, needs_input ? data(grad_normed) : nullptr, false, gradients);
  if (grad_norm != nullptr)
    kernels::rms_norm_weight_gradient(n, s.hidden, x, at.inverse1, data(grad_normed), grad_norm);
  if (grad_x == nullptr) return;
  std::copy_n(data(grad_attended), n * s.hidden, grad_x);
  rms_norm_backward(pool, n, s.hidden, x, data(w.input_norm), at.inverse1, data(grad_normed), grad_x);
}

// What a backward pass keeps of its forward beside tensors.
struct Call : torch::CustomClassHolder {
  CpuLayer layer;
  AdapterStack stack;
  std::shared_ptr<CpuPlan> plan;
  HfConfig config;
  bool is_used_up = false;  // what was saved has become gradients
};

std::vector<Tensor> trained_in(const CpuLayer& layer) {
  const LayerWeights& w = *layer.weights;
  std::vector<Tensor> trained;
  if (w.input_norm.requires_grad()) trained.push_back(w.input_norm);
  if (w.post_norm.requires_grad()) trained.push_back(w.post_norm);
  int64_t site = layer.first_site;
  for (const Linear* linear : {&w.q, &w.k, &w.v, &w.o, &w.gate, &w.up, &w.down})
    list_trained(*linear, *layer.stack, site++, trained);
  return trained;
}

Values values_of(const variable_list& saved, const Tensor& normed, const Tensor& activated) {
  return {data(saved[0]), data(saved[1]), data(saved[2]), data(saved[3]), data(saved[4]), data(saved[5]),
          data(saved[6]), data(saved[7]), data(saved[8]), data(normed),   data(activated)};
}

struct LayerFunction : Function<LayerFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const c10::intrusive_ptr<Call>& call,
                        at::TensorList trained) {
    const Sizes s(call->config);
    const RowCounts n(*call->plan, call->layer);
    variable_list saved;
    for (const auto& size : saved_sizes(s, n)) saved.push_back(at::empty(size, at::kFloat));
    const Tensor normed = at::empty({n.most, s.hidden}, at::kFloat);
    const Tensor activated = at::empty({n.wanted, s.intermediate}, at::kFloat);
    Tensor y = at::empty({n.wanted, s.hidden}, at::kFloat);
    run_forward(call->layer, *call->plan, call->config, data(x), values_of(saved, normed, activated), data(y));
    ctx->saved_data["call"] = c10::IValue::make_capsule(call);
    saved.push_back(x);
    saved.insert(saved.end(), trained.begin(), trained.end());
    ctx->save_for_backward(saved);
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto call = c10::static_intrusive_pointer_cast<Call>(ctx->saved_data["call"].toCapsule());
    NOREGRET_CHECK(!std::exchange(call->is_used_up, true), "a second backward pass through the same forward");
    const variable_list saved = ctx->get_saved_variables();
    const Sizes s(call->config);
    const RowCounts n(*call->plan, call->layer);
    const Tensor& x = saved[kNumSaved];
    const variable_list trained(saved.begin() + kNumSaved + 1, saved.end());
    const Tensor normed = at::empty({n.most, s.hidden}, at::kFloat);
    const Tensor activated = at::empty({n.wanted, s.intermediate}, at::kFloat);
    const Tensor grad_x = ctx->needs_input_grad(0) ? at::empty({n.all, s.hidden}, at::kFloat) : Tensor();
    Gradients gradients(trained);
    run_backward(call->layer, *call->plan, call->config, data(x), values_of(saved, normed, activated),
                 grads[0].contiguous(), grad_x.defined() ? data(grad_x) : nullptr, gradients);
    variable_list result = {grad_x, Tensor()};
    for (Tensor& gradient : gradients.take()) result.push_back(std::move(gradient));
    return result;
  }
};

struct NormFunction : Function<NormFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& weight, double eps) {
    const Tensor y = at::empty_like(x);
    const Tensor inverse = at::empty({x.size(0)}, at::kFloat);
    rms_norm(cpu_pool(), x.size(0), x.size(1), data(x), data(weight), static_cast<float>(eps), data(y), data(inverse));
    ctx->save_for_backward({x, weight, inverse});
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1], &inverse = saved[2];
    const Tensor grad_y = grads[0].contiguous();
    Tensor grad_x, grad_weight;
    if (ctx->needs_input_grad(0)) {
      grad_x = at::zeros_like(x);
      rms_norm_backward(cpu_pool(), x.size(0), x.size(1), data(x), data(weight), data(inverse), data(grad_y),
                        data(grad_x));
    }
    if (ctx->needs_input_grad(1)) {
      grad_weight = at::zeros_like(weight);
      kernels::rms_norm_weight_gradient(x.size(0), x.size(1), data(x), data(inverse), data(grad_y), data(grad_weight));
    }
    return {grad_x, grad_weight, Tensor()};
  }
};

}  // namespace

Tensor forward_on_cpu(const CpuLayer& layer, const std::shared_ptr<CpuPlan>& plan, const HfConfig& config,
                      const Tensor& x) {
  if (at::GradMode::is_enabled()) {
    const std::vector<Tensor> trained = trained_in(layer);
    if (x.requires_grad() || !trained.empty()) {
      NOREGRET_CHECK(plan->cache == nullptr, "a forward with a cache has no backward");
      auto call = c10::make_intrusive<Call>();
      call->layer = layer;
      call->stack = *layer.stack;
      call->layer.stack = &call->stack;
      call->plan = plan;
      call->config = config;
      return LayerFunction::apply(x, call, at::TensorList(trained));
    }
  }
  const Sizes s(config);
  const RowCounts n(*plan, layer);
  int64_t size = n.most * s.hidden + n.wanted * s.intermediate;
  for (const auto& [rows, columns] : saved_sizes(s, n)) size += rows * columns;
  float* next = plan->layer.room(size);
  const auto take = [&](int64_t rows, int64_t columns) { return std::exchange(next, next + rows * columns); };
  const Values at = {.inverse1 = take(n.all, 1),
                     .k = take(n.all, s.key),
                     .v = take(n.all, s.key),
                     .q = take(n.wanted, s.query),
                     .mixed = take(n.wanted, s.query),
                     .attended = take(n.wanted, s.hidden),
                     .inverse2 = take(n.wanted, 1),
                     .gate = take(n.wanted, s.intermediate),
                     .up = take(n.wanted, s.intermediate),
                     .normed = take(n.most, s.hidden),
                     .activated = take(n.wanted, s.intermediate)};
  Tensor y = at::empty({n.wanted, s.hidden}, at::kFloat);
  run_forward(layer, *plan, config, data(x), at, data(y));
  return y;
}

Tensor rms_norm_on_cpu(const Tensor& x, const Tensor& weight, double eps) {
  if (at::GradMode::is_enabled() && (x.requires_grad() || weight.requires_grad()))
    return NormFunction::apply(x, weight, eps);
  const Tensor y = at::empty_like(x);
  rms_norm(cpu_pool(), x.size(0), x.size(1), data(x), data(weight), static_cast<float>(eps), data(y), nullptr);
  return y;
}

}  // namespace noregret
