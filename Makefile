# tailwag: `make run` measures the demo market, `make test` runs the fast suite, `make check` is what CI runs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TAILWAG_DATA ?= $(if $(wildcard ../shared/data/INDEX.md),$(abspath ../shared/data),)
export TAILWAG_DATA
WORKERS ?= auto

.PHONY: run test check lint types contracts docs bench gates browser clean gate-store gate-venues gate-page gate-api gate-clients

run: $(VENV)/.core
	@mkdir -p out
	$(BIN)/tailwag measure demo --html out/report.html --png out/report.png

test: $(VENV)/.test browser
	$(BIN)/python -m pytest -n $(WORKERS) -q

check: $(VENV)/.dev browser lint types contracts
	$(BIN)/python -m pytest -n $(WORKERS) -q
	$(BIN)/python -m pytest -q -m "(realdata or browser or docs) and not slow" -n $(WORKERS)

lint: $(VENV)/.dev
	$(BIN)/ruff check src tests tools benchmarks examples
	$(BIN)/ruff format --check src tests tools benchmarks examples

types: $(VENV)/.dev
	$(BIN)/mypy

contracts: $(VENV)/.dev
	$(BIN)/lint-imports

docs: $(VENV)/.dev
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

bench: $(VENV)/.dev
	$(BIN)/python -m pip install -q -c constraints.txt lbriv pyvolr
	$(BIN)/python benchmarks/chain.py
	$(BIN)/python benchmarks/smile.py
	$(BIN)/python benchmarks/netdelta.py
	$(BIN)/python benchmarks/loop.py
	$(BIN)/python benchmarks/reflexive.py
	$(BIN)/python benchmarks/live.py
	$(BIN)/python benchmarks/history.py

gates: $(VENV)/.dev
	$(BIN)/python -m pytest -q -m slow -n $(WORKERS)

# What the live service promises, each under a minute at its full size; SIZE=... and SEED=... choose another.
SEED ?= 1
SIZE ?= full
gate-store gate-venues gate-page gate-api gate-clients: $(VENV)/.dev browser
	TAILWAG_GATE_SEED=$(SEED) TAILWAG_GATE_SIZE=$(SIZE) $(BIN)/python -m pytest -q -p no:randomly -p no:schemathesis -m "" -n $(WORKERS) tests/gates/$(@:gate-%=%)

# A browser for the tests that look at pages: installed only where it is missing and we may.
browser:
	@if ! command -v chromium >/dev/null 2>&1 && [ -z "$$CHROMIUM_PATH" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; fi

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "tailwag needs Python 3.11 to 3.13, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[test]"
	@touch $@ $(VENV)/.core

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@ $(VENV)/.core $(VENV)/.test

clean:
	rm -rf $(VENV) out .pytest_cache .mypy_cache .ruff_cache docs/_build
