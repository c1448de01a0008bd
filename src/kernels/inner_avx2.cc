// Compiled for the instruction set that the name says: nothing here may have external linkage but the table.
#define NOREGRET_KERNELS_AVX2

#include "kernels/inner_loops.h"

namespace noregret::kernels {

const Inner kAvx2Inner = kInner;

}  // namespace noregret::kernels
