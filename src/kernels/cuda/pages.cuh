#pragma once

#include "kernels/cuda/device_math.cuh"

namespace noregret::kernels::cuda {

constexpr int kPage = 16;  // positions of a page
constexpr int kTileElements = 16 * 16;

// Where element (row, k) of a 16 x 16 tile lies: as a lane's operand of multiply_tile() (ptx.cuh), which it
// reads at once. Keys: row = position, k = element of the head; values: the other way.
__device__ inline int tile_offset(int row, int k) {
  return ((row % 8) * 4 + (k % 8) / 2) * 8 + (k / 8) * 4 + (row / 8) * 2 + k % 2;
}
__device__ inline int key_offset(int position, int element) {
  return element / 16 * kTileElements + tile_offset(position, element % 16);
}
__device__ inline int value_offset(int position, int element) {
  return element / 16 * kTileElements + tile_offset(element % 16, position);
}

}  // namespace noregret::kernels::cuda
