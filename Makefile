# Every command sets up what it needs in .venv the first time, and again when pyproject.toml or constraints.txt change.
#   make demo ARGS='--count 5000'    passes arguments on
#   make test PYTHON=python3.12      names the Python that .venv is made with

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
# By both variables, for what compiles the native engine is pinned, too: deploy/install.sh says which pip takes which.
PIP_INSTALL := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
  $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Clang brings libFuzzer; any other compiler takes the driver of export/cpp/fuzz.
SECONDS ?= 600
FUZZ_CXX = $(if $(filter default,$(origin CXX)),$(shell command -v clang++ || command -v c++),$(CXX))
FUZZ_BUILD = build/cpp-fuzz-$(notdir $(FUZZ_CXX))

.PHONY: help demo test lint bench bench-guard chaos fuzz clean
.DELETE_ON_ERROR:

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' Makefile | expand -t 18

demo: .venv/worker-installed ## label real headlines through an embedded broker; ends by itself
	@$(BIN)/kuaixun-worker demo $(ARGS)

test: lint ## the whole test suite, real Kafka included where Java 17 and Maven are
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile $(ARGS)

lint: .venv/dev-installed ## ruff and mypy over everything, and no line of C++ beyond 120 columns
	@! LC_ALL=C.UTF-8 grep -rnE '.{121}' export/cpp worker/kafka/cpp --include=*.cc --include=*.h --include=CMakeLists.txt
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/dev-installed ## throughput and latency beside a loop that only moves bytes; writes build/bench.json
	@mkdir -p build
	@$(BIN)/python -m pytest tests/benchmarks --quiet --benchmark-enable --benchmark-only --benchmark-quiet \
	  --benchmark-json=build/bench-parts.json > build/bench-parts.log || { cat build/bench-parts.log; exit 1; }
	@$(BIN)/python -m tests.benchmarks.stream --parts build/bench-parts.json --json build/bench.json $(ARGS)

bench-guard: .venv/dev-installed ## the short form, three times at most: fails where a ratio of tests/benchmarks/stream/ratios.toml has fallen
	@for attempt in 1 2 3; do \
	  $(BIN)/python -m tests.benchmarks.stream --short --only null native native-watched --json build/bench-guard.json $(ARGS) || exit; \
	  $(BIN)/python -m tests.benchmarks.stream.guard build/bench-guard.json && exit; \
	done; exit 1

chaos: .venv/dev-installed ## kill, freeze and cut off workers against real Kafka, account for every headline; writes build/chaos.json
	@$(BIN)/python -m tests.chaos $(ARGS)

fuzz: ## fuzz the C++ readers under sanitizers, each for SECONDS=600; findings and what was learnt go to build/fuzz
	@cmake -S export/cpp -B $(FUZZ_BUILD) -DCMAKE_CXX_COMPILER=$(FUZZ_CXX) -DKUAIXUN_SANITIZE=ON -DKUAIXUN_FUZZ=ON
	@cmake --build $(FUZZ_BUILD) --parallel --target fuzz_bundle fuzz_bundle_files fuzz_events fuzz_text
	@for target in bundle bundle_files events text; do \
	  mkdir -p build/fuzz/$$target && \
	  $(FUZZ_BUILD)/fuzz/fuzz_$$target -max_total_time=$(SECONDS) -dict=export/cpp/fuzz/$${target%_files}.dict \
	    -artifact_prefix=build/fuzz/$$target. build/fuzz/$$target export/cpp/fuzz/corpus/$$target || exit 1; \
	done

clean: ## remove build/ and the tools' caches; .venv stays
	rm -rf build .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "kuaixun needs Python 3.11 or newer and $(PYTHON) is not: name another, as in make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv .venv

.venv/worker-installed: pyproject.toml constraints.txt | .venv/bin/pip
	@echo "Installing kuaixun[worker] into .venv and building its native engine: about half a minute." >&2
	@$(PIP_INSTALL) --editable '.[worker]'
	@# Not done while the native engine is missing: the next command tries again, for there may be a compiler by then.
	@if $(BIN)/python -c 'import kuaixun.export._native' 2>/dev/null; then touch $@; fi

.venv/dev-installed: pyproject.toml constraints.txt | .venv/bin/pip
	@echo "Installing kuaixun[dev] into .venv; the first time this fetches PyTorch's CUDA build (5 GB on disk)." >&2
	@$(PIP_INSTALL) --editable '.[dev]'
	@touch .venv/worker-installed $@
