#!/usr/bin/env bash
# Builds test programs with sanitizers, runs them all, and ends with 1 where one of them fails.
#
#   scripts/sanitize.sh asan|tsan JOBS SUITE...
set -euo pipefail
preset=$1 jobs=$2
shift 2
build=build-$preset

cmake --preset "$preset" >/dev/null
cmake --build "$build" -j "$jobs" --target "${@/%/_test}"
export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:check_initialization_order=1
export UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=second_deadlock_stack=1
# LibTorch's own threads: what they do is not instrumented.
if [[ $preset == tsan ]]; then export OMP_NUM_THREADS=1; fi
suites=$(IFS='|' && echo "$*")
# Where the system spreads addresses over more bits than the sanitizers of clang 14 know, they refuse to start.
fixed=()
if setarch -R true 2>/dev/null; then fixed=(setarch -R); fi
"${fixed[@]}" scripts/run_tests.sh "$build" -j "$jobs" -R "^($suites)\$"
