#!/usr/bin/env bash
# Feeds hostile inputs to the readers with libFuzzer, each beginning with tests/fuzz/corpus/<name>; what it learns is kept
# in BUILD_DIR/corpus. Ends with 1 at the first crash, hang (10 s) or leak, whose input is left in BUILD_DIR/found.
#
#   scripts/fuzz.sh BUILD_DIR NUM_INPUTS SECONDS [NAME ...]     SECONDS 0: no limit; of YAML 3 tenths of NUM_INPUTS
set -euo pipefail
build=$1 num_inputs=$2 seconds=$3
shift 3
if (($# == 0)); then set -- safetensors json tokenizer gguf yaml grader; fi
if [[ -z ${TMPDIR:-} && -w /dev/shm ]]; then export TMPDIR=/dev/shm; fi # inputs lie in files for a moment

mkdir -p "$build/found"
for name in "$@"; do
  mkdir -p "$build/corpus/$name"
  runs=$num_inputs
  if [[ $name == yaml ]]; then runs=$(((num_inputs * 3 + 9) / 10)); fi
  max_bytes=4096
  if [[ $name == grader ]]; then max_bytes=512; fi # an answer; a comparison takes longer than a reader
  log=$build/found/$name.log
  if ! "$build/${name}_fuzz" -runs="$runs" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=$max_bytes \
    -dict="tests/fuzz/dictionaries/$name" -artifact_prefix="$build/found/$name-" -print_final_stats=1 -verbosity=0 -print_funcs=0 \
    "$build/corpus/$name" "tests/fuzz/corpus/$name" >"$log" 2>&1; then
    tail -60 "$log" >&2
    echo "fuzz: $name failed; its input is in $build/found, the whole of its words in $log" >&2
    exit 1
  fi
  printf '%-12s %s\n' "$name" "$(sed -n 's/^stat:://p' "$log" | tr -s ' ' | paste -sd ' ')"
done
