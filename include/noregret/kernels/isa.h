#pragma once

#include <string_view>
#include <vector>

// CPU kernels: plain pointers and sizes, f32 sums, no LibTorch.
//
// Exactness. Every value is a fixed sequence of IEEE operations: products are summed by one chain of fused
// multiply-adds in ascending order (of narrow matrices by two, of half the inputs each); sums along a row are 16
// partial sums (element i goes to sum i mod 16) joined by one tree. So a row's result does not depend on the other
// rows, on blocking, on the number of threads or on the instruction set.
namespace noregret::kernels {

enum class Isa { kPortable, kAvx2, kAvx512 };
std::string_view isa_name(Isa isa);  // "portable", "AVX2", "AVX-512"

std::vector<Isa> supported_isas();  // by this CPU; ascending
Isa current_isa();                  // the last of supported_isas() unless forced
void force_isa(Isa isa);            // for tests and benches, between kernels; bug when the CPU does not support it

}  // namespace noregret::kernels
