#pragma once

// The body of inner_portable.cc, inner_avx2.cc and inner_avx512.cc.

#include "kernels/inner_logits.h"
#include "kernels/inner_products.h"
#include "kernels/inner_rows.h"

namespace noregret::kernels {
namespace {

constexpr Inner kInner = {
    .panels_at_once = kPanels,
    .multiply_f32 = multiply_f32,
    .multiply_bf16 = multiply_bf16,
    .multiply_pages = multiply_pages,
    .rms_norm = rms_norm,
    .rms_norm_backward = rms_norm_backward,
    .swiglu = swiglu,
    .swiglu_backward = swiglu_backward,
    .softmax = softmax,
    .dot = dot,
    .row_sum = row_sum,
    .exponentials = exponentials,
    .softmax_gradient = softmax_gradient,
    .arg_max = arg_max,
};

}  // namespace
}  // namespace noregret::kernels
