#!/usr/bin/env bash
# Runs the CPU tests of a CUDA build, and the GPU's, which skip themselves without one.
#
#   scripts/cuda_cpu_tests.sh BUILD_DIR
set -euo pipefail
build=${1:?BUILD_DIR}
missing=$(ldd "$build/gpu_test" | sed -nE 's/^\s*(\S+) => not found.*/\1/p' | paste -sd ' ')
if [[ -n $missing ]]; then
  echo "skipped: a program of this build cannot start here, for want of $missing (a CUDA toolkit holds most of them)"
  exit 0
fi
for program in kernels_test tensor_test nn_test gpu_test; do
  echo "$program of the CUDA build"
  "$build/$program" --gtest_brief=1
done
