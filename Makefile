# Everything a newcomer needs. `make demo` works in an empty clone with Python 3.11 or newer and nothing else.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/installed
HOME_FOLDER := $(or $(GTMC_HOME),.gtmc)

# Started as root in a closed folder, PostgreSQL keeps its data and a copy of its programs outside.
define REMOVE_OUTSIDE
import sys; from pathlib import Path; from gtmc_pipelines.stack import postgres, server_user
for original in (postgres.installation(), Path(sys.argv[1]) / "postgres"): server_user.remove_outside(original)
endef
export REMOVE_OUTSIDE
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup check lint test demo up bench chaos attack nightly lock clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

setup: $(STAMP) ## virtual environment and dependencies; the second call costs nothing

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make $(or $(MAKECMDGOALS),setup) PYTHON=python3.12" >&2; exit 1; }
	@echo "Installing into $(VENV) (once, about a minute)…"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "Python's venv module is missing; install it (on Debian: python3-venv) and try again." >&2; exit 1; }
	@$(BIN)/python -m pip install -q --no-deps --require-hashes -r requirements.lock 2>$(VENV)/install.log || { cat $(VENV)/install.log >&2; exit 1; }
	@$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e . 2>>$(VENV)/install.log || { cat $(VENV)/install.log >&2; exit 1; }
	@touch $@

check: lint ## format, lint, types, house rules
	@$(BIN)/pytest -q gtmc_pipelines_tests/house

lint: setup # what `make test` doesn't check
	@$(BIN)/ruff format --check gtmc_pipelines gtmc_pipelines_tests
	@$(BIN)/ruff check gtmc_pipelines gtmc_pipelines_tests
	@$(BIN)/mypy

test: setup ## the whole test suite, with the real services
	@$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

demo: setup ## everything, with data and a check of the result, then stopped again
	@$(BIN)/gtmc demo

up: setup ## everything, kept running until Ctrl-C
	@$(BIN)/gtmc up

bench: setup ## CPU of the write path, memory, and a tick of a fleet of 2,000 tenants
	@$(BIN)/python -m gtmc_pipelines_tests.bench
	@$(BIN)/python -m gtmc_pipelines_tests.bench.meetings
	@$(BIN)/python -m gtmc_pipelines_tests.bench.fleet
	@$(BIN)/python -m gtmc_pipelines_tests.bench.hostile

chaos: setup ## processes killed in the middle of syncs
	@$(BIN)/pytest gtmc_pipelines_tests/chaos

attack: setup ## every boundary attacked at random, tens of thousands of times; ends with what came through
	@$(BIN)/python -m gtmc_pipelines_tests.attack

nightly: setup ## what is too long for each change: all attacks, and an earlier version's workflows and rows taken over
	@$(BIN)/pytest -m nightly

# The tool that asks the index for the hashes has an environment of its own: it is no part of what runs.
lock: setup ## requirements.lock made again, with hashes, from what the virtual environment has installed
	@$(PYTHON) -m venv $(VENV)/lock && $(VENV)/lock/bin/pip install -q pip-tools==7.6.2
	@$(BIN)/pip freeze --all --exclude pip --exclude-editable >$(VENV)/lock/requirements.in
	@$(VENV)/lock/bin/pip-compile -q --generate-hashes --allow-unsafe --strip-extras --no-annotate --no-header \
	  --no-emit-options --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	  -o $(VENV)/lock/requirements.txt $(VENV)/lock/requirements.in
	@{ head -1 requirements.lock; cat $(VENV)/lock/requirements.txt; } >$(VENV)/lock/new && mv $(VENV)/lock/new requirements.lock

clean: ## remove the stack's data, the virtual environment and caches
	@test ! -x $(BIN)/python || $(BIN)/python -c "$$REMOVE_OUTSIDE" "$(HOME_FOLDER)" 2>/dev/null || true
	@rm -rf -- "$(HOME_FOLDER)" $(VENV) screenshots *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find gtmc_pipelines gtmc_pipelines_tests -name __pycache__ -type d -prune -exec rm -rf {} +
