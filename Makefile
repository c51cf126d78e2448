# make run and make test are all that a newcomer needs; `make help` lists the rest.
# Stamps under .stamps/ make a second run start at once; `make clean` forgets them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
APT := $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get -o Dpkg::Use-Pty=0
VENV := .venv
BIN := $(VENV)/bin
STAMPS := .stamps
JOBS ?= 4
# Tests wait as much as they work: four for two cores. loadfile: a file's tests share the servers that its fixtures start;
# no reorder, else the long fault tests, few in their files, would come last and alone.
LOCK := uv pip compile -q --generate-hashes --universal --python-version 3.11 --no-header --no-emit-index-url
# What builds is pinned too (requirements-build.lock): an isolated build would fetch it unpinned. Only authres ships no wheel.
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check
PIP_LOCKED := $(PIP) --require-hashes --no-build-isolation --only-binary :all: --no-binary authres
PIP_OURS := $(PIP) --no-deps --no-build-isolation -e .
PYTEST := $(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

# Compiled once, whatever a shell says: else every worker and every process that a test starts would do it for itself.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help run test lint format faults bench lock clean

help: ## what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

run: $(STAMPS)/run ## install what is needed into .venv, then serve with plugins.toml and rules.toml
	@$(BIN)/trunkline init .
	@exec $(BIN)/trunkline serve

test: $(STAMPS)/dev $(STAMPS)/debian ## install what the tests need, then run them all
	@$(BIN)/python -m compileall -q -j 2 hub plugins connectors context_store routing bench
	$(PYTEST) $(ARGS)

lint: $(STAMPS)/dev ## formatting, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMPS)/dev ## let ruff format and fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

faults: $(STAMPS)/dev $(STAMPS)/debian ## the long fault campaigns (make test has their quick tier); ARGS=--quick: few rounds
	$(BIN)/python -m bench faults $(ARGS)
	TRUNKLINE_RULE_PAIRS=100000 $(BIN)/pytest tests/routing/test_against_reference.py --timeout=3600

bench: $(STAMPS)/dev $(STAMPS)/debian ## measure: make bench ARGS="mail-corpus --json"; without ARGS, what there is
	$(BIN)/python -m bench $(or $(ARGS),--help)

lock: ## pin all dependencies with their hashes, without addresses
	$(LOCK) pyproject.toml -o requirements.lock
	$(LOCK) -c requirements.lock --extra otel pyproject.toml -o requirements-otel.lock
	$(LOCK) -c requirements-otel.lock --extra otel --group dev pyproject.toml -o requirements-dev.lock
	printf 'editables\nhatchling\nsetuptools>=80\n' | $(LOCK) -c requirements-dev.lock - -o requirements-build.lock

clean: ## forget the environment and the stamps; data under var/ stays
	rm -rf $(VENV) $(STAMPS) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "Installing $(notdir $(PYTHON))-venv"; $(APT) update -q && $(APT) install -y -q $(notdir $(PYTHON))-venv; }
	$(PYTHON) -m venv $(VENV)

$(STAMPS)/run: requirements.lock requirements-build.lock pyproject.toml | $(VENV)/pyvenv.cfg
	@echo "Installing the pinned dependencies into $(VENV) (about a minute, once)"
	@$(PIP_LOCKED) -r requirements-build.lock
	@$(PIP_LOCKED) -r requirements.lock
	@$(PIP_OURS)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/dev: requirements-dev.lock requirements-build.lock pyproject.toml | $(VENV)/pyvenv.cfg
	@echo "Installing the pinned test dependencies into $(VENV) (about a minute, once)"
	@$(PIP_LOCKED) -r requirements-build.lock
	@$(PIP_LOCKED) -r requirements-dev.lock
	@$(PIP_OURS)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/debian:
	@missing=""; \
	[ -x /usr/sbin/dovecot ] || missing="$$missing dovecot-imapd"; \
	command -v redis-server > /dev/null || missing="$$missing redis-server"; \
	command -v cc > /dev/null || missing="$$missing gcc libc6-dev"; \
	ls /usr/lib/postgresql/*/bin/postgres > /dev/null 2>&1 || missing="$$missing postgresql"; \
	command -v chromium > /dev/null || missing="$$missing chromium"; \
	if [ -n "$$missing" ]; then \
		echo "Installing Debian packages for the tests:$$missing"; \
		$(APT) update -q && $(APT) install -y --no-install-recommends $$missing; \
	fi
	@mkdir -p $(STAMPS) && touch $@
