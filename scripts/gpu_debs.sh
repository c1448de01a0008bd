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

DEV=(zlib1g-dev libssl-dev nlohmann-json3-dev libyaml-cpp-dev libcli11-dev libonig-dev libutf8proc-dev libeigen3-dev
  libboost-dev libre2-dev libgmp-dev libflint-dev libflint-arb-dev libcalcium-dev libantic-dev libgtest-dev libgmock-dev)
mkdir -p "$1"
cd "$1"
# Libraries and headers that these need in turn; every system has the C and C++ ones.
mapfile -t all < <(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances \
  "${DEV[@]}" | grep -E '^(lib|zlib|nlohmann|googletest)' | grep -vE '^lib(c6|c-|gcc|stdc|crypt1|debconf|perl|db5)|:i386|<' | sort -u)
apt-get download "${all[@]}"
ls -1
