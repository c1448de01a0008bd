#!/usr/bin/env bash
# Checks the CUDA side on a machine with a GPU, a CUDA toolkit and a Python with a CUDA build of torch 2.11; needs no network.
# Builds into build-gpu, runs `ctest -L gpu` and a short RL run on the GPU, and prints a PASS or FAIL line for each.
#
#   PYTHON=python3 NOREGRET_DEBS=DIR STEPS=3 scripts/gpu_check.sh
#
# NOREGRET_DEBS  folder made by scripts/gpu_debs.sh, for a machine without the -dev packages
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 70
build='build-gpu'
run=$build/run
steps=${STEPS:-3}
failures=0

# check NAME COMMAND...: runs the command, prints PASS or FAIL and its seconds.
check() {
  local name=$1 start=$SECONDS
  shift
  if "$@"; then
    echo "PASS $name ($((SECONDS - start)) s)"
  else
    echo "FAIL $name ($((SECONDS - start)) s)"
    failures=$((failures + 1))
    return 1
  fi
}

torch_site() {
  "${PYTHON:-python3}" -c '
import os, torch
assert torch.cuda.is_available(), "torch sees no GPU"
print(torch.__version__, torch.cuda.get_device_name(0), os.path.dirname(os.path.dirname(torch.__file__)), sep="\n")'
}

# Symbolic links of -dev packages may be absolute (libz.so); inside the prefix they point into it.
unpack_debs() {
  local deb link target
  for deb in "$NOREGRET_DEBS"/*.deb; do
    dpkg -x "$deb" "$build/debs" || return 1
  done
  find "$build/debs" -type l -lname '/*' | while read -r link; do
    target=$PWD/$build/debs$(readlink "$link")
    if [[ -e $target ]]; then ln -sfn "$target" "$link"; fi
  done
}

configure() {
  local debs=$PWD/$build/debs/usr generator='Unix Makefiles'
  local flags=(-DNOREGRET_CUDA=ON -DNOREGRET_WERROR=OFF -DCMAKE_PREFIX_PATH="$1")
  if command -v ninja >/dev/null; then generator=Ninja; fi
  if [[ -n ${NOREGRET_DEBS:-} ]]; then
    flags+=(-DCMAKE_PREFIX_PATH="$1;$debs" -DCMAKE_CXX_FLAGS="-isystem $debs/include/x86_64-linux-gnu")
  fi
  cmake -S . -B $build -G "$generator" "${flags[@]}"
}

gpu_tests() {
  ctest --test-dir $build -L gpu --no-tests=error --verbose | tee $build/gpu_tests.log
  ((PIPESTATUS[0] == 0)) && ! grep -q ': Skipped$' $build/gpu_tests.log
}

short_run() {
  rm -rf $run
  $build/noregret train configs/quickstart/rl.yaml --set device=cuda --set eval.limit=20 --steps "$steps" --run-dir $run &&
    (($(wc -l <$run/metrics.jsonl) >= steps)) && cat $run/metrics.jsonl
}

main() {
  local found version gpu site
  mkdir -p $build
  if ! found=$(torch_site); then
    echo "FAIL torch with a GPU"
    exit 1
  fi
  { read -r version; read -r gpu; read -r site; } <<<"$found"
  echo "torch $version in $site, GPU $gpu"
  if [[ -n ${NOREGRET_DEBS:-} ]]; then check "unpack Debian packages" unpack_debs || exit 1; fi
  check configure configure "$site" || exit 1
  check build cmake --build $build -j "$(nproc)" --target noregret plugins gpu_test || exit 1
  check "ctest -L gpu" gpu_tests
  check "RL run of $steps steps on the GPU" short_run
  if ((failures > 0)); then
    echo "FAIL: $failures of the GPU checks"
    exit 1
  fi
  echo "PASS: all GPU checks"
}

main
