#pragma once

#include <cstdint>

struct CUstream_st;

// Kernels on a CUDA device (sm_90): twins of rows.h, attention.h and matrix.h for bf16 activations. Pointers are to
// device memory and 16-byte aligned; a Bf16 is its 16 bits. Sums are in f32, results are rounded once. Matrices are
// row-major; a stride is a row's distance in elements, a multiple of 8. Every function queues its work on the stream
// and returns; none allocates or waits, so all can be captured in a graph. A row's result depends on that row alone, in
// whatever batch. A refused launch is a bug and throws.
namespace noregret::kernels::cuda {

using Stream = CUstream_st*;
using Bf16 = uint16_t;

constexpr int64_t kMaxSkinnyRows = 4;
constexpr int64_t kSplitKeys = 512;  // keys that one block of attention() reads

// ---- rows

// y[:, :size] = x r weight with r = 1 / sqrt(mean(x^2) + eps).
//   x [rows, size], weight [size], size a multiple of 8; inverse [rows]: r, or null
void rms_norm(Stream stream, int64_t num_rows, int64_t size, const Bf16* x, const Bf16* weight, float eps, Bf16* y,
              int64_t y_stride, float* inverse);
// grad_x += d loss / d x.  Gradients by rows of their strides
void rms_norm_backward(Stream stream, int64_t num_rows, int64_t size, const Bf16* x, const Bf16* weight,
                       const float* inverse, const Bf16* grad_y, int64_t grad_y_stride, Bf16* grad_x,
                       int64_t grad_x_stride);

// What a linear of a low-rank adapter leaves to add to x, where its product is with its weight and, below that, a.
struct LowRankSum {
  const Bf16* y = nullptr;  // [rows, size + rank] by rows of y_stride: the product, z behind it; null: nothing is added
  int64_t y_stride = 0;
  const Bf16* b = nullptr;         // [size, rank] by rows of b_stride
  int64_t b_stride = 0, rank = 0;  // rank a multiple of 8
};
// sum = x + added.y + z b^T, for which z b^T is rounded; y[:, :size] = rms_norm(sum) = r weight sum, and with rank > 0
// also y[:, size:size + rank] = that times a^T, worked out as r (sum (weight a)^T), for which weight a is rounded.
//   x, sum [rows, size], not the same memory; size a multiple of 32; nothing added: sum stays as it is; weight null:
//   the sum alone; a [rank, size] by rows of a_stride, rank a multiple of 8; inverse [rows]: r, or null
void add_rms_norm(Stream stream, int64_t num_rows, int64_t size, const Bf16* x, const LowRankSum& added, Bf16* sum,
                  const Bf16* weight, float eps, const Bf16* a, int64_t a_stride, int64_t rank, Bf16* y,
                  int64_t y_stride, float* inverse);

// y = silu(gate) up.  gate_up [rows, 2 size]: gate, then up; y [rows, size] by rows of y_stride; size a multiple of 8
void swiglu(Stream stream, int64_t num_rows, int64_t size, const Bf16* gate_up, Bf16* y, int64_t y_stride);
// grad_gate_up: the gradients of gate and of up, by rows of grad_stride; grad_y [rows, size]
void swiglu_backward(Stream stream, int64_t num_rows, int64_t size, const Bf16* gate_up, const Bf16* grad_y,
                     Bf16* grad_gate_up, int64_t grad_stride);

// x[:, size:size + rank] = x[:, :size] a^T: the low-rank path of an activation, into its own row.
//   a [rank, size] by rows of a_stride; size a multiple of 32, rank of 8
void shrink(Stream stream, int64_t num_rows, int64_t size, Bf16* x, int64_t x_stride, const Bf16* a, int64_t a_stride,
            int64_t rank);

// y = x w^T. For at most kMaxSkinnyRows rows, where reading w is all the time.
//   x [rows, in], w [out, in] by rows of w_stride, y [rows, out]; in a multiple of 8
void multiply_skinny(Stream stream, int64_t num_rows, int64_t in, int64_t out, const Bf16* x, int64_t x_stride,
                     const Bf16* w, int64_t w_stride, Bf16* y);

// y[:, :size] = silu(gate) up, where [gate | up] = x w^T is rounded first, as multiply_skinny() and swiglu() one after
// the other.
//   x [rows, in], w [2 size, in] by rows of w_stride, y [rows, size] by rows of y_stride
void multiply_skinny_swiglu(Stream stream, int64_t num_rows, int64_t in, int64_t size, const Bf16* x, int64_t x_stride,
                            const Bf16* w, int64_t w_stride, Bf16* y, int64_t y_stride);

// Row i is table[id]: id = given[i] where from[i] < 0, else previous[from[i]].  table [V, size] by rows of stride
void gather_tokens(Stream stream, int64_t num_rows, int64_t size, const int32_t* from, const int32_t* given,
                   const int64_t* previous, const Bf16* table, int64_t stride, Bf16* y);

// The f32 masters of one adapted linear, rounded to where the products read them: a to a_rows, scaling b to b_columns
// and b_rows.
struct AdapterColumns {
  const float* a;   // [rank, in]
  const float* b;   // [out, rank]
  Bf16* a_rows;     // [rank, in] by rows of a_stride
  Bf16* b_columns;  // [out, rank] by rows of b_stride
  Bf16* b_rows;     // [out, rank] by rows of b_rows_stride
  int64_t rank, in, out, a_stride, b_stride, b_rows_stride;
  float scaling;
};
void write_adapters(Stream stream, int64_t count, const AdapterColumns* entries);  // entries on the host

// ---- attention

// Keys and values of one layer in pages of 16 positions: [page][kv_head], then tiles of 16 x 16 in the order in which
// tensor cores take them (src/kernels/cuda/pages.cuh).
struct KvShape {
  int64_t num_heads, num_kv_heads, head_dim;  // at most 8 heads share a key; head_dim 16, 32, 64, 80, 96 or 128
  int64_t page_size() const { return num_kv_heads * head_dim * 16; }  // elements
};
struct PageTables {
  const int32_t* pages;  // [sequences, max_pages]
  int64_t max_pages;
  const int32_t* sequences;  // [rows]: which table a row reads
};

// Half-split rotation of queries and keys by the rows' positions, in place; where keys is not null the turned keys and
// the values are also written to their pages.
//   qkv [rows, heads + 2 kv_heads, head_dim]; positions [rows]; table [positions, head_dim / 2] pairs (cos, sin)
void rotary(Stream stream, int64_t num_rows, const KvShape& shape, Bf16* qkv, const int32_t* positions,
            const float* table, const PageTables& tables, Bf16* keys, Bf16* values);
// The gradient of qkv before rotary(), from those of what it became: queries and keys are turned back.
//   grad_q [rows, heads, head_dim], grad_k and grad_v [rows, kv_heads, head_dim]; grad_qkv like qkv, by rows of
//   grad_stride, overwritten
void rotary_backward(Stream stream, int64_t num_rows, const KvShape& shape, const Bf16* grad_q, const Bf16* grad_k,
                     const Bf16* grad_v, const int32_t* positions, const float* table, Bf16* grad_qkv,
                     int64_t grad_stride);
// Copies a page's content in all layers, whose pages lie layer_stride elements apart.
void copy_page(Stream stream, int64_t from, int64_t to, const KvShape& shape, int64_t num_layers, int64_t layer_stride,
               Bf16* keys, Bf16* values);

// softmax(q k^T / sqrt(head_dim)) v over the positions 0 .. positions[row] of the row's sequence, read kSplitKeys keys
// a block, whose results are joined in order.
//   qkv as rotary() leaves it; y [rows, heads * head_dim] by rows of y_stride; lse [heads, rows]: log-sum-exp, or null
//   max_length: all positions are below; scratch: attention_scratch_bytes() of it, zero before its first use, and used
//   for one number of rows and one shape alone. All that pages hold is finite, also what was never written: its weight
//   is 0.
void attention(Stream stream, int64_t num_rows, const KvShape& shape, const Bf16* qkv, const int32_t* positions,
               const PageTables& tables, const Bf16* keys, const Bf16* values, int64_t max_length, void* scratch,
               Bf16* y, int64_t y_stride, float* lse);
int64_t attention_scratch_bytes(int64_t num_rows, const KvShape& shape, int64_t max_length);

// rotary() and attention() in one, with their bits, for rows that are each the last of a sequence of its own; qkv stays
// as it is. positions, tables and the pages before a row's own are read before earlier kernels of the stream have
// ended, so no kernel since the last copy may have written them.  table as for rotary(); the rest as for attention()
void attention_step(Stream stream, int64_t num_rows, const KvShape& shape, const Bf16* qkv, const int32_t* positions,
                    const float* table, const PageTables& tables, Bf16* keys, Bf16* values, int64_t max_length,
                    void* scratch, Bf16* y, int64_t y_stride);

// Attention to two disjoint sets of keys, joined: y and lse of the first become those of both. A row whose other lse is
// not finite saw no key there.  y, other [rows, heads * head_dim]; lse, other_lse [heads, rows]
void join_attention(Stream stream, int64_t num_rows, int64_t num_heads, int64_t head_dim, Bf16* y, float* lse,
                    const Bf16* other, const float* other_lse);

// ---- the vocabulary: z = logits / temperature, p = softmax(z); logits [rows, vocab] f32

// ln p[target] (NaN for a target that is no id), entropy and log-sum-exp of z. Each may be null but lse.
void token_scores(Stream stream, int64_t num_rows, int64_t vocab_size, const float* logits, const int64_t* targets,
                  float temperature, float* logprobs, float* entropy, float* lse);
// grad [rows, vocab], by rows of grad_stride, = coefficient / temperature (onehot(target) - p).
void token_gradients(Stream stream, int64_t num_rows, int64_t vocab_size, const float* logits, const int64_t* targets,
                     float temperature, const float* coefficients, const float* lse, Bf16* grad, int64_t grad_stride);
// rows.h: sample(); logprobs are token_scores()'s, bit for bit. A row that is not finite gets token -1.
void sample(Stream stream, int64_t num_rows, int64_t vocab_size, const float* logits, float temperature,
            const float* uniforms, int64_t* tokens, float* logprobs);

}  // namespace noregret::kernels::cuda
