#pragma once

namespace noregret::kernels::cuda {

// Throws when the launch just made was refused: a bug in its sizes, or a device that is gone.
void check_launch(const char* kernel);
[[noreturn]] void refuse(const char* kernel, const char* what);

}  // namespace noregret::kernels::cuda
