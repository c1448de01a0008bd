// Compiled for the instruction set that the name says: nothing here may have external linkage but the table.
#define NOREGRET_KERNELS_AVX512

#include "kernels/inner_loops.h"

namespace noregret::kernels {

const Inner kAvx512Inner = kInner;

}  // namespace noregret::kernels
