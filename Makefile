# tailwag: `make run` measures the demo market, `make test` runs the fast suite, `make check` is what CI runs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TAILWAG_DATA ?= $(if $(wildcard ../shared/data/INDEX.md),$(abspath ../shared/data),)
export TAILWAG_DATA
WORKERS ?= logical
# What Python, pytest and the kernels compile is kept: every worker and every command that a test starts would compile it again.
export PYTHONDONTWRITEBYTECODE :=
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check --no-compile -c constraints.txt
PYTEST := $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal

.PHONY: run test check lint types contracts collected measure-kernels loop-kernels docs bench evidence gates browser clean gate-store gate-venues gate-page gate-api gate-clients

run: $(VENV)/.core
	@mkdir -p out
	$(BIN)/tailwag measure demo --html out/report.html --png out/report.png

test: $(VENV)/.test browser
	$(PYTEST)

# One session for the fast suite and the marked tests, after what the workers share; on two cores nothing waits for anything else.
check:
	@$(MAKE) --no-print-directory -j2 $(VENV)/.check browser
	@$(MAKE) --no-print-directory -j2 loop-kernels types collected measure-kernels lint contracts
	$(PYTEST) -m "not slow"

# Every test is read once before the workers read it: the bytecode of tests and packages is then there for all of them.
collected: $(VENV)/.check
	@$(BIN)/python -m pytest -p no:randomly -n 0 --collect-only -qq -m "not slow" >$(VENV)/collected.txt 2>&1 || { tail -n 60 $(VENV)/collected.txt; exit 1; }

# The same for the kernels: those that nearly every test needs, each compiled once.
measure-kernels: $(VENV)/.check
	@$(BIN)/tailwag measure demo --json - >/dev/null

loop-kernels: $(VENV)/.check
	@$(BIN)/tailwag scenario run quiet-pin --paths 4 >/dev/null
	@$(BIN)/tailwag scenario run cascade-short-gamma --paths 4 >/dev/null

lint: $(VENV)/.check
	$(BIN)/ruff check src tests tools benchmarks examples
	$(BIN)/ruff format --check src tests tools benchmarks examples

types: $(VENV)/.check
	$(BIN)/mypy

contracts: $(VENV)/.check
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

# What docs/evidence says, from the recordings that TAILWAG_DATA names: measured, studied, and compared with what is published.
evidence: $(VENV)/.test
	@mkdir -p out
	$(BIN)/python tools/make_evidence.py $(TAILWAG_DATA) --store out/history --check

gates: $(VENV)/.test
	$(BIN)/python -m pytest -q -m slow -n $(WORKERS)

# What the live service promises, each under a minute at its full size; SIZE=... and SEED=... choose another.
SEED ?= 1
SIZE ?= full
gate-store gate-venues gate-page gate-api gate-clients: $(VENV)/.test browser
	TAILWAG_GATE_SEED=$(SEED) TAILWAG_GATE_SIZE=$(SIZE) $(BIN)/python -m pytest -q -p no:randomly -p no:schemathesis -m "" -n $(WORKERS) tests/gates/$(@:gate-%=%)

# A browser for the tests that look at pages: installed only where it is missing and we may.
browser:
	@if ! command -v chromium >/dev/null 2>&1 && [ -z "$$CHROMIUM_PATH" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; fi

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "tailwag needs Python 3.11 to 3.13, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e .
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e ".[test]"
	@touch $@ $(VENV)/.core

# What `make check` needs: no builder of documentation.
$(VENV)/.check: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e ".[test,lint]"
	@touch $@ $(VENV)/.core $(VENV)/.test

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e ".[dev]"
	@touch $@ $(VENV)/.core $(VENV)/.test $(VENV)/.check

clean:
	rm -rf $(VENV) out .pytest_cache .mypy_cache .ruff_cache docs/_build
