# `make help` lists the targets. Everything lives in .venv and ./var; nothing else on the machine is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STATE ?= var

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run test check bench live browser lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | sed -E 's/:.*?## /\t/' | expand -t 14

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "需要 Python 3.11 或更新版本；请用 make PYTHON=/path/to/python3.11 指定。"; \
	  echo "Python 3.11 or newer is needed; name it with: make PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  v=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	  echo "缺少 venv 模块：请安装软件包 python$$v-venv（Debian: apt install python$$v-venv），然后重试。"; \
	  echo "The venv module is missing: install the package python$$v-venv (Debian: apt install python$$v-venv) and try again."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# The lock files name every package, so nothing is left to resolve (--no-deps): with extras, a resolver may look past the pin
# and refuse as soon as a newer version appears in the registry. `pip check` says if a lock file were not complete.
PIP_LOCKED := $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps

$(VENV)/.runtime: $(VENV)/.python requirements.lock pyproject.toml
	$(PIP_LOCKED) -r requirements.lock
	$(PIP_LOCKED) -r requirements-build.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/pip check --disable-pip-version-check >/dev/null || { $(BIN)/pip check; exit 1; }
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	$(PIP_LOCKED) -r requirements-dev.lock
	$(BIN)/pip check --disable-pip-version-check >/dev/null || { $(BIN)/pip check; exit 1; }
	@touch $@

setup: $(VENV)/.runtime ## Make the virtual environment from the lock file (hashes checked)

setup-dev: $(VENV)/.dev ## The same, with what tests and checks need

run: setup ## Start the whole service with embedded engines; state goes to ./var
	$(BIN)/secops serve --state $(STATE)

test: setup-dev ## Run the tests; what needs an absent server is skipped with the reason
	$(BIN)/pytest -m "not process" -n auto --dist loadgroup
	$(BIN)/pytest -m process

check: setup-dev ## Lint, types, import contracts, rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/secops rules check rules

bench: setup ## Print the figures of every benchmark (takes some minutes)
	$(BIN)/secops bench all

live: setup-dev ## Only the tests against real outside servers
	$(BIN)/pytest -m live

browser: setup-dev ## Only the tests in real Chromium
	$(BIN)/pytest -m browser

lock: ## Write the lock files anew from pyproject.toml (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --upgrade pyproject.toml -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	printf 'hatchling\neditables\n' | uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header -c requirements-dev.lock - -o requirements-build.lock

clean: ## Remove the virtual environment and caches (not ./var)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
