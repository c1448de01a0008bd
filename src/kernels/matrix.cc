#include "noregret/kernels/matrix.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "kernels/inner.h"
#include "noregret/base/check.h"

namespace noregret::kernels {
namespace {

constexpr int64_t kRowBlock = 96;          // rows whose inputs stay in the second cache
constexpr int64_t kDepthBlock = 352;       // words of each output in a panel that stay in the first
constexpr int64_t kPanelBlock = 16;        // panels of one task,
constexpr int64_t kLongPanelBlock = 32;    // or of few rows: they stream through, the longer the faster
constexpr int64_t kTasksPerThread = 12;    // so that no thread waits long for another,
constexpr int64_t kFewTasksPerThread = 2;  // or of few rows, to which a task costs as much as a panel or two
constexpr int64_t kMostTogether = 4;       // narrow products that read the same rows
constexpr int64_t kSerialWork = 1 << 14;   // FMAs that are done before another thread has started
constexpr int64_t kManyRows = 16;          // for which the fewest panels may be a task,
constexpr int64_t kTaskWork = 1 << 16;     // if they have so many FMAs
constexpr int64_t kShort = 64;             // inputs of a term that goes along with the one before

// A term as threads read it: what it takes of the matrix is here, since matrices lie far from each other in memory.
struct Step {
  const std::byte* panels;
  int64_t panel_bytes;
  int64_t input_bytes;
  int64_t depth;
  const float* x;
  int64_t x_stride;
  bool is_f32, is_halved, waits;

  explicit Step(const Term& term)
      : panels(term.matrix->bytes()),
        panel_bytes(term.matrix->panel_bytes()),
        input_bytes(term.matrix->input_bytes()),
        depth(term.matrix->depth()),
        x(term.x),
        x_stride(term.x_stride),
        is_f32(term.matrix->dtype() == WeightDtype::kF32),
        is_halved(term.matrix->is_halved()),
        waits(term.waits) {}

  // k is even in bf16
  const void* panel(int64_t panel, int64_t k) const { return panels + panel * panel_bytes + k * input_bytes; }
  bool goes_along() const { return is_f32 && !is_halved && depth <= kShort; }
  // How much of the depth is taken at once.
  int64_t depth_block() const {
    const int64_t most = is_f32 ? kDepthBlock : 2 * kDepthBlock;
    const int64_t num_blocks = (depth + most - 1) / most;
    return round_up((depth + num_blocks - 1) / num_blocks, 2);
  }
};

// A product, or several narrow ones side by side, each of one panel and one step.
struct Work {
  std::span<const Product> products;
  std::span<const Step> steps;
  int64_t num_panels;
  int64_t surplus;  // lanes of the last panel that are no outputs
  bool is_narrow;
  int64_t num_blocks = 0;
};

bool is_narrow(const Product& product) {
  const PackedMatrix& matrix = *product.terms[0].matrix;
  return product.terms.size() == 1 && !product.adds && matrix.num_panels() == 1 && matrix.dtype() == WeightDtype::kF32;
}
bool fit_together(const Step& a, const Step& b) {
  return a.x == b.x && a.x_stride == b.x_stride && a.depth == b.depth && a.is_halved == b.is_halved &&
         a.waits == b.waits;
}

// What a call works out, in memory that calls use again.
struct Call {
  std::vector<Step> steps;
  std::vector<Work> works;

  void begin(std::span<const Product> some, std::span<const Product> others) {
    size_t num_steps = 0;
    for (const Product& product : some) num_steps += product.terms.size();
    for (const Product& product : others) num_steps += product.terms.size();
    steps.clear();
    steps.reserve(num_steps);  // spans of them stay valid
    works.clear();
  }
  // The number of works that they become.
  int64_t add(std::span<const Product> products) {
    const size_t num_before = works.size();
    for (size_t i = 0; i < products.size(); ++i) {
      const Product& product = products[i];
      const PackedMatrix& matrix = *product.terms[0].matrix;
      const size_t begin = steps.size();
      for (const Term& term : product.terms) steps.emplace_back(term);
      const std::span<const Step> added = std::span(steps).subspan(begin);
      const bool narrow = is_narrow(product);
      NOREGRET_CHECK(narrow || std::none_of(added.begin(), added.end(), [](const Step& s) { return s.is_halved; }),
                     "a narrow matrix is its product's only term");
      if (narrow && works.size() > num_before) {
        Work& last = works.back();
        if (last.is_narrow && last.num_panels < kMostTogether && fit_together(last.steps[0], added[0])) {
          ++last.num_panels;
          last.products = {&last.products[0], last.products.size() + 1};
          last.steps = {&last.steps[0], last.steps.size() + 1};
          continue;
        }
      }
      const int64_t num_panels = matrix.num_panels();
      works.push_back({products.subspan(i, 1), added, num_panels, num_panels * 16 - matrix.out(), narrow});
    }
    return static_cast<int64_t>(works.size() - num_before);
  }
};

// Rows [first_row, + num_rows) of a work for panels [first_panel, + num_panels).
struct Block {
  int64_t first_row, num_rows, first_panel, num_panels;
  const void* next;                                // a panel that the thread is likely to read after these
  const std::atomic<int64_t>* num_open = nullptr;  // blocks whose results steps wait for
};

// A step's inputs from `k` on, `count` of them.
struct Part {
  const void* panels[kLongPanelBlock];
  Tile tile;
};
void make_part(const Step& step, const Block& block, int64_t k, int64_t count, Part& part) {
  for (int64_t p = 0; p < block.num_panels; ++p) part.panels[p] = step.panel(block.first_panel + p, k);
  part.tile = {.a = step.x + block.first_row * step.x_stride + k,
               .a_row = step.x_stride,
               .a_k = 1,
               .b = part.panels,
               .b_k = 16,
               .c = nullptr,
               .c_row = 0,
               .num_rows = block.num_rows,
               .num_panels = block.num_panels,
               .k = count,
               .adds = false};
}

// The block into c, which is that of the block's first row and panel.
void multiply_into(std::span<const Step> steps, const Block& block, bool adds, float* c, int64_t c_stride) {
  for (size_t i = 0; i < steps.size(); ++i) {
    const Step& step = steps[i];
    if (step.waits) wait_until_zero(*block.num_open);
    const int64_t depth = step.depth_block();
    const bool has_more = i + 1 < steps.size() && steps[i + 1].goes_along();
    for (int64_t k = 0; k < step.depth; k += depth) {
      Part part, more;
      make_part(step, block, k, std::min(depth, step.depth - k), part);
      part.tile.c = c;
      part.tile.c_row = c_stride;
      part.tile.adds = adds;
      part.tile.next = k + depth < step.depth ? step.panel(block.first_panel, k + depth) : block.next;
      if (has_more && k + depth >= step.depth) {
        const Step& next = steps[++i];
        if (next.waits) wait_until_zero(*block.num_open);
        make_part(next, block, 0, next.depth, more);
        part.tile.then = &more.tile;
      }
      step.is_f32 ? inner().multiply_f32(part.tile) : inner().multiply_bf16(part.tile);
      adds = true;
    }
  }
}

void multiply_narrow(const Work& work, const Block& block) {
  const Step& step = work.steps[0];
  if (step.waits) wait_until_zero(*block.num_open);
  const int64_t depth = step.depth_block();
  float sums[kRowBlock * kMostTogether * 16];
  const int64_t stride = work.num_panels * 16;
  for (int64_t k = 0; k < step.depth; k += depth) {
    const void* panels[kMostTogether];
    for (int64_t p = 0; p < work.num_panels; ++p) panels[p] = work.steps[p].panel(0, k);
    inner().multiply_f32({.a = step.x + block.first_row * step.x_stride + k,
                          .a_row = step.x_stride,
                          .a_k = 1,
                          .b = panels,
                          .b_k = 16,
                          .c = sums,
                          .c_row = stride,
                          .num_rows = block.num_rows,
                          .num_panels = work.num_panels,
                          .k = std::min(depth, step.depth - k),
                          .adds = k > 0,
                          .a_half = step.is_halved ? step.depth : 0,
                          .next = block.next});
  }
  for (size_t p = 0; p < work.products.size(); ++p) {
    const Product& product = work.products[p];
    const int64_t width = product.terms[0].matrix->out();
    for (int64_t r = 0; r < block.num_rows; ++r) {
      const float* from = sums + r * stride + static_cast<int64_t>(p) * 16;
      float* y = product.y + (block.first_row + r) * product.y_stride;
      for (int64_t i = 0; i < width; ++i) y[i] = step.is_halved ? from[i] + from[8 + i] : from[i];
    }
  }
}

void multiply_block(const Work& work, Block block) {
  if (work.is_narrow) return multiply_narrow(work, block);
  const Product& product = work.products[0];
  float* y = product.y + block.first_row * product.y_stride + block.first_panel * 16;
  const int64_t last = block.first_panel + block.num_panels - 1;
  if (work.surplus > 0 && last + 1 == work.num_panels) {  // the last panel by way of a block that has room for 16
    --block.num_panels;
    const Block tail = {block.first_row, block.num_rows, last, 1, nullptr, block.num_open};
    float c[kRowBlock * 16];
    float* y_tail = y + block.num_panels * 16;
    const int64_t width = 16 - work.surplus;
    if (product.adds) {
      std::fill(c, c + tail.num_rows * 16, 0.0f);
      for (int64_t r = 0; r < tail.num_rows; ++r) std::copy_n(y_tail + r * product.y_stride, width, c + r * 16);
    }
    multiply_into(work.steps, tail, product.adds, c, 16);
    for (int64_t r = 0; r < tail.num_rows; ++r) std::copy_n(c + r * 16, width, y_tail + r * product.y_stride);
  }
  if (block.num_panels > 0) multiply_into(work.steps, block, product.adds, y, product.y_stride);
}

}  // namespace

void multiply(ThreadPool& pool, int64_t num_rows, std::span<const Product> products, std::span<const Product> first) {
  if (num_rows == 0) return;
  thread_local Call call;
  call.begin(first, products);
  const int64_t num_first_works = call.add(first);
  call.add(products);
  int64_t num_panels = 0, work_size = 0;
  for (const Work& work : call.works) {
    num_panels += work.num_panels;
    for (const Step& step : work.steps) work_size += (work.is_narrow ? 1 : work.num_panels) * step.depth * 16;
  }
  work_size *= num_rows;
  const int64_t num_row_blocks = (num_rows + kRowBlock - 1) / kRowBlock;
  const bool has_few_rows = num_rows < kManyRows;
  const bool has_many_rows = !has_few_rows && num_row_blocks == 1;
  int64_t num_tasks =
      work_size < kSerialWork ? 1 : pool.num_threads() * (has_few_rows ? kFewTasksPerThread : kTasksPerThread);
  if (has_many_rows) num_tasks = std::clamp<int64_t>(work_size / kTaskWork, 1, num_tasks);
  const int64_t unit = has_many_rows ? inner().panels_at_once : 4;  // few rows take up to so many
  const int64_t panel_block = std::min(has_few_rows ? kLongPanelBlock : kPanelBlock,
                                       round_up(std::max<int64_t>(1, num_panels * num_row_blocks / num_tasks), unit));
  // `first` come first, so whoever waits does so for what another thread has begun. They are few and may be as large as
  // a task of the others, so every thread gets rows of each.
  struct Tasks {
    std::span<const Work> works;
    int64_t per_row, num_row_blocks, row_block;
    int64_t count() const { return per_row * num_row_blocks; }
  };
  const auto tasks_of = [&](std::span<Work> works, int64_t row_block) {
    int64_t per_row = 0;
    for (Work& work : works) {
      work.num_blocks = work.is_narrow ? 1 : (work.num_panels + panel_block - 1) / panel_block;
      per_row += work.num_blocks;
    }
    return Tasks{works, per_row, (num_rows + row_block - 1) / row_block, row_block};
  };
  const auto shared_among = [&](int64_t parts) { return (num_rows + parts - 1) / parts; };
  const int64_t rows_of_thread = std::max<int64_t>(kManyRows / 2, shared_among(pool.num_threads()));
  const std::span<Work> works = call.works;
  const Tasks of_first =
      tasks_of(works.first(num_first_works), has_many_rows ? rows_of_thread : shared_among(num_row_blocks));
  const Tasks of_products = tasks_of(works.subspan(num_first_works), shared_among(num_row_blocks));
  const int64_t num_first = of_first.count(), total = num_first + of_products.count();
  std::atomic<int64_t> num_open = num_first;
  struct Place {
    const Work* work;
    int64_t first_row, num_rows, first_panel;
  };
  const auto place_of = [&](int64_t task) {
    const Tasks& tasks = task < num_first ? of_first : of_products;
    const int64_t index = task < num_first ? task : task - num_first;
    const Work* work = tasks.works.data();
    int64_t block = index % tasks.per_row;
    for (; block >= work->num_blocks; ++work) block -= work->num_blocks;
    const int64_t first_row = index / tasks.per_row * tasks.row_block;
    return Place{work, first_row, std::min(tasks.row_block, num_rows - first_row), block * panel_block};
  };
  const auto run_block = [&](int64_t task) {
    const auto [work, first_row, rows, first_panel] = place_of(task);
    const void* next = nullptr;
    if (task + pool.num_threads() < total) {  // if the threads take turns
      const Place later = place_of(task + pool.num_threads());
      next = later.work->steps[0].panel(later.first_panel, 0);
    }
    multiply_block(
        *work, {first_row, rows, first_panel, std::min(panel_block, work->num_panels - first_panel), next, &num_open});
    if (task < num_first) num_open.fetch_sub(1, std::memory_order_release);
  };
  if (num_tasks == 1) {
    for (int64_t task = 0; task < total; ++task) run_block(task);
  } else {
    pool.run(total, run_block);
  }
}

namespace {

constexpr int64_t kOuterRows = 256;  // rows summed before the next block of outputs is fetched
constexpr int64_t kOuterA = 48;
constexpr int64_t kOuterPanels = 8;

// c block [num_a, num_panels * 16] of a^T b; b has 16 readable columns for each panel.
void multiply_outer_block(int64_t num_rows, const float* a, int64_t a_stride, int64_t num_a, const float* b,
                          int64_t b_stride, int64_t num_panels, float* c, int64_t c_stride) {
  for (int64_t k = 0; k < num_rows; k += kOuterRows) {
    const void* panels[kOuterPanels];
    for (int64_t p = 0; p < num_panels; ++p) panels[p] = b + k * b_stride + p * 16;
    inner().multiply_f32({.a = a + k * a_stride,
                          .a_row = 1,
                          .a_k = a_stride,
                          .b = panels,
                          .b_k = b_stride,
                          .c = c,
                          .c_row = c_stride,
                          .num_rows = num_a,
                          .num_panels = num_panels,
                          .k = std::min(kOuterRows, num_rows - k),
                          .adds = k > 0});
  }
}

struct OuterTask {
  const Outer* outer;
  int64_t first_a, num_a, first_panel, num_panels;
};

void run_outer(int64_t num_rows, const OuterTask& task) {
  const Outer& o = *task.outer;
  const float* a = o.a + task.first_a;
  float* c = o.c + task.first_a * o.c_stride + task.first_panel * 16;
  const int64_t num_whole = std::min(task.num_panels, o.num_b / 16 - task.first_panel);
  if (num_whole > 0) {
    multiply_outer_block(num_rows, a, o.a_stride, task.num_a, o.b + task.first_panel * 16, o.b_stride, num_whole, c,
                         o.c_stride);
  }
  if (num_whole == task.num_panels) return;
  // The last columns, copied to where 16 can be read and written.
  const int64_t width = o.num_b % 16;
  std::vector<float> b(static_cast<size_t>(num_rows * 16), 0.0f), sums(static_cast<size_t>(task.num_a * 16));
  for (int64_t r = 0; r < num_rows; ++r) std::copy_n(o.b + r * o.b_stride + o.num_b - width, width, &b[r * 16]);
  multiply_outer_block(num_rows, a, o.a_stride, task.num_a, b.data(), 16, 1, sums.data(), 16);
  for (int64_t i = 0; i < task.num_a; ++i)
    std::copy_n(&sums[i * 16], width, o.c + (task.first_a + i) * o.c_stride + o.num_b - width);
}

}  // namespace

void multiply_transposed(ThreadPool& pool, int64_t num_rows, std::span<const Outer> outers) {
  std::vector<OuterTask> tasks;
  for (const Outer& outer : outers) {
    NOREGRET_CHECK(num_rows > 0 || outer.num_a * outer.num_b == 0);
    const int64_t num_panels = (outer.num_b + 15) / 16;
    for (int64_t panel = 0; panel < num_panels; panel += kOuterPanels) {
      for (int64_t a = 0; a < outer.num_a; a += kOuterA) {
        tasks.push_back(
            {&outer, a, std::min(kOuterA, outer.num_a - a), panel, std::min(kOuterPanels, num_panels - panel)});
      }
    }
  }
  pool.run(static_cast<int64_t>(tasks.size()), [&](int64_t i) { run_outer(num_rows, tasks[i]); });
}

}  // namespace noregret::kernels
