#!/usr/bin/env bash
# Feeds hostile inputs to the readers with libFuzzer, JOBS readers at a time, each beginning with tests/fuzz/corpus/<name>;
# what it learns is kept in BUILD_DIR/corpus. After a crash, hang (10 s) or leak, whose input is left in BUILD_DIR/found, no
# other reader begins, and it ends with 1.
#
#   scripts/fuzz.sh BUILD_DIR JOBS NUM_INPUTS SECONDS [NAME ...]     SECONDS 0: no limit; of YAML 3 tenths of NUM_INPUTS
#
# FUZZ_SEED makes the inputs the same again; without it, or 0, they are others each time.
set -euo pipefail
build=$1 jobs=$2 num_inputs=$3 seconds=$4
shift 4
if (($# == 0)); then set -- safetensors json tokenizer gguf yaml grader; fi
if [[ -z ${TMPDIR:-} && -w /dev/shm ]]; then export TMPDIR=/dev/shm; fi # inputs lie in files for a moment

fuzz() {
  set -euo pipefail
  local name=$1 runs=$num_inputs max_bytes=4096 log=$build/found/$1.log
  mkdir -p "$build/found" "$build/corpus/$name"
  if [[ $name == yaml ]]; then runs=$(((num_inputs * 3 + 9) / 10)); fi
  if [[ $name == grader ]]; then max_bytes=512; fi # an answer; a comparison takes longer than a reader
  if ! "$build/${name}_fuzz" -seed="${FUZZ_SEED:-0}" -runs="$runs" -max_total_time="$seconds" -max_len=$max_bytes \
    -timeout=10 -rss_limit_mb=2048 -dict="tests/fuzz/dictionaries/$name" -artifact_prefix="$build/found/$name-" \
    -print_final_stats=1 -verbosity=0 -print_funcs=0 \
    "$build/corpus/$name" "tests/fuzz/corpus/$name" >"$log" 2>&1; then
    tail -60 "$log" >&2
    echo "fuzz: $name failed; its input is in $build/found, the whole of its words in $log" >&2
    return 255 # xargs starts no other then
  fi
  printf '%-12s %s\n' "$name" "$(sed -n 's/^stat:://p' "$log" | tr -s ' ' | paste -sd ' ')"
}

export -f fuzz
export build num_inputs seconds
printf '%s\n' "$@" | xargs -P "$jobs" -I{} bash -c 'fuzz {}' || exit 1
