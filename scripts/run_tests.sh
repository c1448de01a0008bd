#!/usr/bin/env bash
# Runs ctest on a build folder, then lists why tests were skipped and repeats ctest's result as the last line.
#
#   scripts/run_tests.sh BUILD_DIR [ctest options]
set -uo pipefail
build=$1
log=$build/Testing/Temporary/LastTest.log

ctest --test-dir "$build" --output-on-failure --no-tests=error "${@:2}" | tee "$build/ctest.log"
status=${PIPESTATUS[0]}
skipped=$(grep -A1 ': Skipped$' "$log" | grep -v -e ': Skipped$' -e '^--$' | sort | uniq -c)
if [[ -n $skipped ]]; then printf '\nSkipped test cases by reason:\n%s\n' "$skipped"; fi
printf '\n'
grep 'tests passed' "$build/ctest.log"
exit "$status"
