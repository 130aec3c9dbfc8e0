# One verb each. Every target sets up what it needs in .venv; nothing outside this folder is touched.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# The first of these that is Python 3.11 or newer makes the environment; `make test PYTHON=python3.13` picks one.
PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
BOARD ?= nucleo-f446re
TESTS ?= tests
WORKERS ?= 2

RUN_READY := $(VENV)/.ready-run
DEV_READY := $(VENV)/.ready-dev

.PHONY: help setup demo test lint types format check docs bench clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(DEV_READY) ## set up .venv with everything, for development

demo: $(RUN_READY) ## build firmware for scikit-learn's digits on one board, with its report
	@$(BIN)/tinyfoundry build digits --board $(BOARD) -o out/demo --budget 2m --max-ram 32K --max-flash 128K
	@echo "The report: $(CURDIR)/out/demo/report.html"

test: $(DEV_READY) ## run the tests (TESTS=tests/plan picks some, WORKERS=4 uses four cores)
	@$(PY) -m pytest -q -n $(WORKERS) --dist worksteal $(TESTS)

lint: $(DEV_READY) ## lint and check the format, changing nothing
	@$(BIN)/ruff check --quiet --output-format concise .
	@$(BIN)/ruff format --check --quiet . || { echo "error: some files are not formatted: run make format" >&2; exit 1; }
	@echo "lint: no findings"

types: $(DEV_READY) ## check the types, strictly
	@$(BIN)/mypy --no-error-summary
	@echo "types: no findings"

format: $(DEV_READY) ## format the code and mend what can be mended safely
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

check: lint types test ## lint, types, tests: what continuous integration runs

docs: $(DEV_READY) ## write docs/coverage.md from the registers
	@$(BIN)/tinyfoundry ops --markdown > docs/coverage.md.new && mv docs/coverage.md.new docs/coverage.md

bench: $(DEV_READY) ## measure everything in docs/results.md again (needs the shared folder; tens of minutes)
	@for script in $$(grep -l '__main__' benchmarks/*.py); do echo "== $$script"; $(PY) "$$script"; done

clean: ## remove what was built and the caches; the environment stays
	@rm -rf out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment. A stamp is as new as the pins it was made from, so a second run costs nothing.
$(RUN_READY): pyproject.toml constraints.txt
	@$(call make_environment)
	@$(call install,.[train])
	@touch $@

$(DEV_READY): pyproject.toml constraints.txt
	@$(call make_environment)
	@$(call install,.[test$(comma)dev])
	@touch $(RUN_READY) $@

comma := ,

define make_environment
if ! $(PY) -m pip --version > /dev/null 2>&1; then \
  found=; \
  for candidate in $(PYTHON); do \
    if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' > /dev/null 2>&1; then found=$$candidate; break; fi; \
  done; \
  [ -n "$$found" ] || { echo "error: found no Python 3.11 or newer (tried: $(PYTHON)): install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }; \
  $$found -c 'import ensurepip, venv' 2> /dev/null || { echo "error: $$found lacks the venv module: install it (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }; \
  echo "Setting up $(VENV) with $$($$found --version) ..."; \
  $$found -m venv $(VENV); \
fi
endef

# pip's own output is long: one line that counts the packages as they come is enough. Errors go to stderr as they are.
define install
echo "Installing the pinned packages (a few minutes the first time) ..."; \
live=0; if [ -t 1 ]; then live=1; fi; \
$(PY) -m pip install --disable-pip-version-check --no-input --no-compile --progress-bar off \
  --constraint constraints.txt --editable '$(1)' \
  2> >(grep -v 'is ignored: it is neither a file nor a directory' >&2 || true) \
  | awk -v live=$$live ' \
      /^ *(Collecting|Processing|Obtaining)/ {n++; if (live) printf "\r\033[K  %d %s", n, $$2; fflush()} \
      /^Installing collected/ {if (live) printf "\r\033[K  %d packages fetched, unpacking them ...", n; fflush()} \
      /^Successfully installed/ {new = NF - 2} \
      END {if (live) printf "\r\033[K"; if (new) printf "  %d packages installed\n", new}'
endef
