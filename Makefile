# Everything that a developer types. `make` alone prints this list.

PYTHON ?= python3
PROFILE ?= short
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
BASE := $(VENV)/.base-installed
DEV := $(VENV)/.dev-installed

.DEFAULT_GOAL := help
.PHONY: help run test check lint faults planted bench peers config size clean

help:  ## print this list
	@grep -hE '^[a-z]+:.*  ## ' $(MAKEFILE_LIST) | awk -F ':.*  ## ' '{printf "  make %-8s %s\n", $$1, $$2}'

run: $(BASE)  ## install the base and run the demo: two weeks of an embedded market, no keys, no network
	@$(BIN)/evenkeel --home .demo run --config config/demo.yaml

test: $(DEV)  ## install what tests need and run the quick tests
	@$(BIN)/python -m pytest -q -m "not slow" -n 2 --dist worksteal

check: lint test  ## style, types, floors, quick tests: what must be green before a commit

lint: $(DEV)  ## style, types and floors without the tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict src
	@$(BIN)/lint-imports --no-logo

faults: $(DEV)  ## simulated lives with crashes, lost answers and bad disks, by seed: PROFILE=short (1 minute) or full
	@$(BIN)/python tests/faults/run.py --profile $(PROFILE)

planted: $(DEV)  ## plant known bugs one by one and print which test kills each (some minutes)
	@$(BIN)/python tests/faults/planted.py

bench: $(DEV) peers  ## run evenkeel beside its peers and print the ratios (half an hour)
	@$(BIN)/python benchmarks/run.py

peers:  ## install the peers of the benchmarks, each into its own environment under .peers
	@set -e; for list in benchmarks/peers/*.txt; do name=$$(basename $$list .txt); \
		if [ ! -e .peers/$$name/.installed ] || [ $$list -nt .peers/$$name/.installed ]; then \
			echo "installing $$name into .peers/$$name"; $(PYTHON) -m venv .peers/$$name; \
			pip=".peers/$$name/bin/python -m pip install --quiet --disable-pip-version-check --no-input"; \
			torch=$$(grep '^torch==' $$list || true); [ -z "$$torch" ] || $$pip $$torch; \
			$$pip -r $$list; \
			touch .peers/$$name/.installed; fi; done

config: $(BASE)  ## write config/config.yaml anew from the code that reads it
	@$(BIN)/python tools/config.py

size: $(BASE)  ## how much disk the installation takes, and its five largest parts
	@du -sm $(VENV) | awk '{print $$1 " MB in all"}'
	@du -sm $(VENV)/lib/python*/site-packages/* | sort -rn | head -5 | awk -F '[\t/]' '{print $$1 " MB " $$NF}'

clean:  ## remove the environment, caches and the demo's home
	@rm -rf $(VENV) .demo build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find src tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: an installation runs again only when a list of pinned versions, or the package's metadata, has changed.

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "evenkeel needs Python 3.11 or newer as $(PYTHON): install it, or say make PYTHON=/path/to/python3.11" >&2; exit 3; }
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "$(PYTHON) cannot make a virtual environment: install its venv module (python3-venv)" >&2; exit 3; }

$(BASE): requirements-base.txt pyproject.toml | $(BIN)/python
	@echo "installing the base into $(VENV) (once)"
	@$(PIP) -r requirements-base.txt
	@$(PIP) --no-deps --editable .
	@touch $@

$(DEV): requirements-dev.txt $(BASE)
	@echo "installing the tools for tests into $(VENV) (once)"
	@$(PIP) $(shell grep '^torch==' requirements.txt)
	@$(PIP) -r requirements-dev.txt
	@touch $@
