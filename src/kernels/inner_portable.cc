#include "kernels/inner_loops.h"

namespace noregret::kernels {

const Inner kPortableInner = kInner;

}  // namespace noregret::kernels
