#!/usr/bin/env bash
# Installs what the build needs: Debian packages, LibTorch 2.11 in .deps/site, SmolLM2-135M in .deps/smollm2.gguf.
# Asks nothing, does only what is missing, and exits with 70 where it cannot go on.
#
#   scripts/setup.sh [--cuda|--bench|--clang]
#
# --cuda   also takes LibTorch's CUDA libraries: with a toolkit's, enough to compile a CUDA build and run it on the CPU
#          (scripts/gpu_check.sh runs one on a GPU).
# --bench  also takes what the benchmarks need (bench/README.md).
# --clang  also takes clang, for libFuzzer and the sanitizers (make fuzz, make sanitize).
# A LibTorch of your own: set CMAKE_PREFIX_PATH to its folder, here and for the build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/wheel_tools.sh

PACKAGES=(
  g++ cmake ninja-build make ccache unzip ca-certificates python3 python3-pip
  zlib1g-dev libssl-dev nlohmann-json3-dev libyaml-cpp-dev libcli11-dev libonig-dev libutf8proc-dev libeigen3-dev
  libboost-dev libre2-dev bubblewrap
  libgmp-dev libflint-dev libflint-arb-dev libcalcium-dev libantic-dev
  libgtest-dev libgmock-dev
)

missing_packages() {
  local package installed
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${PACKAGES[@]}" 2>/dev/null | sed -n 's/^installed //p' || true)
  for package in "${PACKAGES[@]}"; do
    grep -qxF "$package" <<<"$installed" || echo "$package"
  done
}

install_packages() {
  local missing sudo=()
  command -v dpkg-query >/dev/null || fail "this is no Debian system; install what these packages hold: ${PACKAGES[*]}"
  mapfile -t missing < <(missing_packages)
  if ((${#missing[@]} == 0)); then return; fi
  local install=(apt-get install -y --no-install-recommends "${missing[@]}")
  if ((EUID != 0)); then
    sudo -n true 2>/dev/null || fail "packages are missing and sudo cannot be used without a password; as root run:" \
      "apt-get update && ${install[*]}"
    sudo=(sudo -n)
  fi
  say "installing Debian packages: ${missing[*]}"
  if ! "${sudo[@]}" apt-get update -qq ||
    ! "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive "${install[@]}" -qq >/dev/null; then
    fail "apt-get failed; see its message above, mend it, then run this again"
  fi
}

# own_libtorch: prints the first entry of CMAKE_PREFIX_PATH with a LibTorch, as cmake/LibTorch.cmake looks for it.
own_libtorch() {
  local prefix prefixes
  IFS=':;' read -ra prefixes <<<"${CMAKE_PREFIX_PATH:-}"
  for prefix in "${prefixes[@]}"; do
    if [[ -e $prefix/lib/libtorch_cpu.so || -e $prefix/torch/lib/libtorch_cpu.so ]]; then
      echo "$prefix"
      return
    fi
  done
}

install_libtorch() {
  local parts=$1 stamp=.deps/site/stamp own
  local files=('torch/lib/libtorch_cpu.so' 'torch/lib/libc10.so' 'torch/lib/libgomp.so.1' 'torch/include/*')
  local need_mb=1200 download_mb=544
  own=$(own_libtorch)
  if [[ -n $own ]]; then
    say "LibTorch is your own, in $own"
    return
  fi
  local wheels=(scripts/wheels.txt) list
  if [[ $parts == cuda ]]; then wheels+=(scripts/wheels_cuda.txt); fi
  # What a stamp lists was unpacked; one for CUDA is as good for the CPU.
  if [[ -e $stamp && -z $(grep -hF '==' "${wheels[@]}" | grep -vxFf $stamp) ]]; then return; fi
  [[ $(uname -m) == x86_64 ]] || fail "the LibTorch wheel is for x86-64, this is $(uname -m); set CMAKE_PREFIX_PATH to a LibTorch 2.11"
  if [[ $parts == cuda ]]; then
    files+=('torch/lib/libtorch_cuda.so' 'torch/lib/libc10_cuda.so' 'torch/lib/libtorch_nvshmem.so')
    need_mb=2200
    download_mb=776
  fi
  check_disk_space .deps $need_mb
  temp=$(mktemp -d .deps/tmp.XXXXXX)  # not local: the trap needs it when the script ends
  trap 'rm -rf "$temp"' EXIT
  say "downloading $(grep -hoE '^[a-z].*==[^ ]*' "${wheels[@]}" | paste -sd ' ') ($download_mb MB)"
  for list in "${wheels[@]}"; do download_wheels "$list" "$temp"; done
  say "unpacking LibTorch into .deps/site ($parts)"
  unzip -q "$temp"/torch-*.whl "${files[@]}" -d "$temp/site"
  unzip -q "$temp"/nvidia_cuda_cupti-*.whl 'nvidia/cu13/lib/libcupti.so.13' -d "$temp/site"
  unzip -q "$temp"/nvidia_cuda_runtime-*.whl 'nvidia/cu13/lib/libcudart.so.13' -d "$temp/site"
  if [[ $parts == cuda ]]; then
    unzip -q "$temp"/nvidia_cufile-*.whl 'nvidia/cu13/lib/libcufile.so.0' -d "$temp/site"
    unzip -q "$temp"/nvidia_cusparselt_cu13-*.whl 'nvidia/cusparselt/lib/libcusparseLt.so.0' -d "$temp/site"
    unzip -q "$temp"/nvidia_nvshmem_cu13-*.whl 'nvidia/nvshmem/lib/libnvshmem_host.so.3' -d "$temp/site"
  fi
  cat "${wheels[@]}" >"$temp/site/stamp"
  if [[ -e .deps/site ]]; then mv .deps/site "$temp/old"; fi
  mv "$temp/site" .deps/site
  rm -rf "$temp"
  trap - EXIT
}

main() {
  local parts=cpu
  case ${1:-} in
    '') ;;
    --cuda) parts=cuda ;;
    --bench) PACKAGES+=(libbenchmark-dev) ;;
    --clang) PACKAGES+=(clang libclang-rt-14-dev) ;;
    *) echo "usage: scripts/setup.sh [--cuda|--bench|--clang]" >&2; exit 64 ;;
  esac
  install_packages
  mkdir -p .deps
  exec 9>.deps/lock
  flock 9 # two builds of one tree may set up at the same time
  rm -rf .deps/tmp.* # of a setup that was killed
  install_libtorch $parts
  scripts/fetch_models.sh
  say "all is there"
}

main "$@"
