# Two commands for users: quickstart and test. The rest is for developers.
BUILD ?= build
JOBS ?= $(shell nproc)
PYTHON ?= python3
CMAKE_FLAGS ?=
NOREGRET = $(BUILD)/noregret
FUZZ ?=
FUZZ_INPUTS ?= 1000000
FUZZ_SECONDS ?= 0
SUITES = base config format text grade http kernels reward rewards fuzz tensor nn objective rollout train envs run e2e
THREADED = base grade http kernels reward rewards text nn rollout run

.PHONY: help setup build models quickstart test parity soak base bench fuzz sanitize cuda-compile format clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

quickstart: build  ## install what is missing, build, train a rank-1 adapter by RL into runs/quickstart
	@if [ -e runs/quickstart ]; then mv -v runs/quickstart runs/quickstart.$$(date +%Y%m%d-%H%M%S); fi
	$(NOREGRET) train configs/quickstart/rl.yaml --run-dir runs/quickstart

test: build models  ## install what is missing, build, run all tests
	cmake --build $(BUILD) -j $(JOBS)
	scripts/run_tests.sh $(BUILD) -j $(JOBS)

setup:  ## install what is missing: Debian packages, LibTorch, SmolLM2
	scripts/setup.sh

build: setup  ## build the program and its plugins into build/
	cmake -S . -B $(BUILD) -G Ninja $(CMAKE_FLAGS)
	cmake --build $(BUILD) -j $(JOBS) --target noregret plugins

models: models/smollm2-135m/config.json  ## import SmolLM2-135M into models/smollm2-135m

models/smollm2-135m/config.json: .deps/smollm2.gguf | build
	rm -rf models/smollm2-135m models/.importing && mkdir -p models
	$(NOREGRET) import .deps/smollm2.gguf models/.importing --dtype bf16 && mv models/.importing models/smollm2-135m

.deps/smollm2.gguf: | setup
	scripts/fetch_models.sh

parity: build models .venv-oracle/done  ## compare live with transformers, PEFT and tokenizers (takes 4 GB for them once)
	.venv-oracle/bin/python tests/parity/model_parity.py --noregret $(NOREGRET) --models models
	.venv-oracle/bin/python tests/parity/tokenizer_parity.py --noregret $(NOREGRET) --models models

.venv-oracle/done: scripts/oracle.txt
	$(PYTHON) -m venv .venv-oracle
	.venv-oracle/bin/pip install -q -r scripts/oracle.txt
	touch $@

soak: build  ## the long counts: kills, stops, damage, power cuts (docs/reliability.md), time-outs of rewards
	cmake --build $(BUILD) -j $(JOBS) --target reward_test run_test e2e_test
	NOREGRET_SOAK=1 $(BUILD)/reward_test --gtest_filter='WorkerSoak.*'
	NOREGRET_SOAK=1 $(BUILD)/run_test --gtest_filter='*IoFaultMatrix.*:RunDirDamage.*:PowerCut.*:*SplitPoint.*'
	NOREGRET_SOAK=1 $(BUILD)/e2e_test --gtest_filter='InterruptedRun.*'

base: build  ## train the quickstart's base model anew into configs/quickstart/base (10 minutes)
	rm -rf runs/pretrain runs/base
	$(NOREGRET) train configs/quickstart/pretrain.yaml --run-dir runs/pretrain
	$(NOREGRET) export runs/pretrain runs/base --merge --dtype bf16
	cp runs/base/config.json runs/base/generation_config.json runs/base/model.safetensors configs/quickstart/base/

bench:  ## build the benchmarks into build-bench/ and time the kernels (bench/README.md: the engine beside its peers)
	scripts/setup.sh --bench
	cmake -S . -B build-bench -G Ninja -DNOREGRET_BENCH=ON $(CMAKE_FLAGS)
	cmake --build build-bench -j $(JOBS) --target bench
	build-bench/kernels_bench

fuzz:  ## FUZZ_INPUTS hostile inputs, or FUZZ_SECONDS, through each reader of FUZZ under ASan and UBSan, in build-asan
	scripts/setup.sh --clang
	cmake --preset asan $(CMAKE_FLAGS)
	cmake --build build-asan -j $(JOBS) --target fuzz
	scripts/fuzz.sh build-asan $(JOBS) $(FUZZ_INPUTS) $(FUZZ_SECONDS) $(FUZZ)

sanitize:  ## all SUITES under ASan, LSan and UBSan (build-asan), those with threads under TSan (build-tsan)
	scripts/setup.sh --clang
	scripts/sanitize.sh asan $(JOBS) $(SUITES)
	scripts/sanitize.sh tsan $(JOBS) $(THREADED)

cuda-compile:  ## compile the CUDA build into build-cuda and run its CPU tests (needs a CUDA toolkit, no GPU)
	scripts/setup.sh --cuda
	cmake -S . -B build-cuda -G Ninja -DNOREGRET_CUDA=ON $(CMAKE_FLAGS)
	cmake --build build-cuda -j $(JOBS) --target noregret plugins kernels_test tensor_test nn_test gpu_test
	scripts/cuda_cpu_tests.sh build-cuda

format:  ## clang-format all C++ sources
	clang-format -i $$(git ls-files '*.cc' '*.h' '*.cu' '*.cuh')

clean:  ## remove build folders; runs, models and downloads stay
	rm -rf $(BUILD) build-asan build-bench build-cuda build-gpu build-tsan
