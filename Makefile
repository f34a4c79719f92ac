# Everything runs from a clean clone with Python 3.11 to 3.13 and pip. pip's own settings (PIP_INDEX_URL,
# PIP_EXTRA_INDEX_URL, pip.conf, ...) are honoured.

PYTHON ?= python3
VENV ?= .venv
OUT ?= out/math
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# With the repository's root on sys.path a library's `import validators` would get ours.
export PYTHONSAFEPATH := 1
export RAY_USAGE_STATS_ENABLED := 0

.PHONY: help run test check types bench clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */  make \1\t/' | expand -t 16

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
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
