#pragma once

namespace noregret {

int num_threads();  // what set_num_threads() set; before that, one a core

}  // namespace noregret
