// In place of src/kernels/cuda in a build without CUDA.
#include <cstdlib>

#include "noregret/base/check.h"
#include "noregret/kernels/cuda.h"

namespace noregret::kernels::cuda {
namespace {

[[noreturn]] void refuse() {
  NOREGRET_CHECK(false, "this program is built without CUDA");
  std::abort();
}

}  // namespace

void rms_norm(Stream, int64_t, int64_t, const Bf16*, const Bf16*, float, Bf16*, int64_t, float*) { refuse(); }
void rms_norm_backward(Stream, int64_t, int64_t, const Bf16*, const Bf16*, const float*, const Bf16*, int64_t, Bf16*,
                       int64_t) {
  refuse();
}
void add_rms_norm(Stream, int64_t, int64_t, const Bf16*, const LowRankSum&, Bf16*, const Bf16*, float, const Bf16*,
                  int64_t, int64_t, Bf16*, int64_t, float*) {
  refuse();
}
void swiglu(Stream, int64_t, int64_t, const Bf16*, Bf16*, int64_t) { refuse(); }
void swiglu_backward(Stream, int64_t, int64_t, const Bf16*, const Bf16*, Bf16*, int64_t) { refuse(); }
void shrink(Stream, int64_t, int64_t, Bf16*, int64_t, const Bf16*, int64_t, int64_t) { refuse(); }
void multiply_skinny(Stream, int64_t, int64_t, int64_t, const Bf16*, int64_t, const Bf16*, int64_t, Bf16*) { refuse(); }
void multiply_skinny_swiglu(Stream, int64_t, int64_t, int64_t, const Bf16*, int64_t, const Bf16*, int64_t, Bf16*,
                            int64_t) {
  refuse();
}
void gather_tokens(Stream, int64_t, int64_t, const int32_t*, const int32_t*, const int64_t*, const Bf16*, int64_t,
                   Bf16*) {
  refuse();
}
void write_adapters(Stream, int64_t, const AdapterColumns*) { refuse(); }
void rotary(Stream, int64_t, const KvShape&, Bf16*, const int32_t*, const float*, const PageTables&, Bf16*, Bf16*) {
  refuse();
}
void rotary_backward(Stream, int64_t, const KvShape&, const Bf16*, const Bf16*, const Bf16*, const int32_t*,
                     const float*, Bf16*, int64_t) {
  refuse();
}
void copy_page(Stream, int64_t, int64_t, const KvShape&, int64_t, int64_t, Bf16*, Bf16*) { refuse(); }
void attention(Stream, int64_t, const KvShape&, const Bf16*, const int32_t*, const PageTables&, const Bf16*,
               const Bf16*, int64_t, void*, Bf16*, int64_t, float*) {
  refuse();
}
void attention_step(Stream, int64_t, const KvShape&, const Bf16*, const int32_t*, const float*, const PageTables&,
                    Bf16*, Bf16*, int64_t, void*, Bf16*, int64_t) {
  refuse();
}
void join_attention(Stream, int64_t, int64_t, int64_t, Bf16*, float*, const Bf16*, const float*) { refuse(); }
void token_scores(Stream, int64_t, int64_t, const float*, const int64_t*, float, float*, float*, float*) { refuse(); }
void token_gradients(Stream, int64_t, int64_t, const float*, const int64_t*, float, const float*, const float*, Bf16*,
                     int64_t) {
  refuse();
}
void sample(Stream, int64_t, int64_t, const float*, float, const float*, int64_t*, float*) { refuse(); }

}  // namespace noregret::kernels::cuda
