# shellcheck shell=bash
# Sourced by setup.sh and fetch_models.sh.

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 70; }

# check_disk_space FOLDER MEGABYTES
check_disk_space() {
  local free_mb
  free_mb=$(($(df -Pk "$1" | awk 'NR == 2 {print $4}') / 1024))
  if ((free_mb < $2)); then
    fail "$PWD/$1 has $free_mb MB free, want $2 MB; free some disk space, then run this again"
  fi
}

# python_with_pip: prints a Python that has pip.
python_with_pip() {
  local python
  for python in python3 /usr/bin/python3; do
    if "$python" -m pip --version >/dev/null 2>&1; then
      echo "$python"
      return
    fi
  done
  fail "no Python with pip: install python3-pip"
}

# download_wheels REQUIREMENTS FOLDER: the wheels of a list with hashes, for CPython 3.11 on x86-64 whatever Python runs pip.
# pip takes its index and certificates from the user's own configuration.
download_wheels() {
  local python platforms=() platform
  python=$(python_with_pip)
  for platform in manylinux_2_28 manylinux_2_25 manylinux_2_17 manylinux2014; do
    platforms+=(--platform "${platform}_x86_64")
  done
  "$python" -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps --require-hashes --only-binary=:all: \
    --implementation cp --python-version 3.11 "${platforms[@]}" --dest "$2" --requirement "$1" ||
    fail "pip could not download the wheels of $1; see its message above (pip's own configuration names the index)"
}
