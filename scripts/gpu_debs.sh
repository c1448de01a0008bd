#!/usr/bin/env bash
# Downloads the Debian packages that the build needs beside a compiler, to carry to a machine without a network
# (scripts/gpu_check.sh, NOREGRET_DEBS). Run it on Debian 12 after `apt-get update`.
#
#   scripts/gpu_debs.sh DIR
set -euo pipefail
if (($# != 1)); then
  echo "usage: scripts/gpu_debs.sh DIR" >&2
  exit 64
fi

DEV=(zlib1g-dev libssl-dev nlohmann-json3-dev libyaml-cpp-dev libcli11-dev libonig-dev libutf8proc-dev libeigen3-dev libgtest-dev
  libgmock-dev)
mkdir -p "$1"
cd "$1"
mapfile -t runtime < <(apt-cache depends --important "${DEV[@]}" | sed -nE 's/^ *Depends: ((lib|zlib1g)[^ ]*)$/\1/p' |
  grep -vE '^lib(c6|gcc|stdc)|-dev$' | sort -u)
apt-get download "${DEV[@]}" "${runtime[@]}"
ls -1
