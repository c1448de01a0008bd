#pragma once

#include "noregret/kernels/thread_pool.h"

namespace noregret {

// The kernels' threads, num_threads() of them. One pool a process: it is what set_num_threads() sets.
kernels::ThreadPool& cpu_pool();

}  // namespace noregret
