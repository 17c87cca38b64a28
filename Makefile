# make demo   a small country on this machine; needs Python 3.11, no root, no system package
# make test   every test, on both PostgreSQL servers; as root it installs what is missing and says so
# make lint   form, types, layers, ratchets
# make bench  the measurements of docs/benchmarks.md
# make bundle one tar for a site without internet, installed once with the network down before it is called good
# make drill  what stops and what goes on when a part is lost: docs/drill.md, from a demo of its own
# Each target makes the environments it needs (.venv, .venv-clients) from the hashed locks, once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CLIENTS := .venv-clients
# What follows the command of `make demo`; or of one benchmark: make bench BENCHES=records ARGS="--seconds 1"
ARGS ?=
BENCHES ?= policy records bulk nodes addresses matching
PYTEST_ARGS ?=
PIP := -m pip --disable-pip-version-check --no-input -q

LINT := lint-types lint-ratchets lint-form lint-layers lint-scan

BUNDLE ?= dist/lienthong-bundle.tar

.PHONY: help setup demo test lint bench bundle drill clients npm lock clean $(LINT)
.DELETE_ON_ERROR:

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -7

setup: $(VENV)/installed

demo: setup
	@$(BIN)/lienthong demo $(ARGS)

test: $(VENV)/installed-test clients
	@.ci/system-packages
	@$(MAKE) --no-print-directory npm
	@status=0; \
	echo "== all tests, PostgreSQL of the embedded wheel"; \
	.ci/pytest $(BIN)/python $(PYTEST_ARGS) || status=$$?; \
	echo "== storage and access again, PostgreSQL 15 of the system"; \
	LIENTHONG_TEST_PG=debian .ci/pytest $(BIN)/python tests/storage tests/access $(PYTEST_ARGS) || status=$$?; \
	exit $$status

# Programs of others for tests, by the lock; without npm those tests say so and are skipped.
npm:
	@if command -v npm >/dev/null; then [ tests/npm/node_modules -nt tests/npm/package-lock.json ] || \
	  { npm ci --prefix tests/npm --no-audit --no-fund --loglevel=error && touch tests/npm/node_modules; } || true; \
	else echo "no npm: the tests with an OpenID Connect provider will be skipped"; fi

# All checks run, two at a time, whatever the others say; each prints its words together.
lint: $(VENV)/installed-test
	@$(MAKE) --no-print-directory -k -j2 -O $(LINT)

lint-types:
	$(BIN)/basedpyright
lint-ratchets:
	$(BIN)/python -m pytest -q --tb=short tests/lint
lint-form:
	$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet .
lint-layers:
	$(BIN)/lint-imports --no-logo
# What is of lesser severity is ruff's (rules S): there each exception has its reason on its line.
# Our own rules (tools/scan/rules.yml) are semgrep's; nothing is fetched, nothing is told to anybody.
lint-scan: $(CLIENTS)/installed
	$(CLIENTS)/bin/bandit -q -r src --severity-level high
	PATH=$(CLIENTS)/bin:$$PATH semgrep scan --metrics=off --disable-version-check --no-git-ignore --quiet --error \
	  --config tools/scan/rules.yml src

bench: $(VENV)/installed-test clients
	@for each in $(BENCHES); do echo "## $$each"; $(BIN)/python bench/$$each.py $(ARGS) || exit 1; done

bundle: $(VENV)/installed
	$(BIN)/python tools/bundle.py $(BUNDLE) --check

drill: setup
	$(BIN)/python tools/drill.py docs/drill.md

# Many more of the bytes and of the steps that `make test` tries for seconds, and bytes guided by coverage for a minute a
# parser (.ci/run does the latter beside the tests); takes half an hour.
fuzz: $(VENV)/installed-test $(CLIENTS)/installed
	LIENTHONG_FUZZ=20000 $(BIN)/python -m pytest tests/faults/test_bytes.py -p no:randomly --timeout 3600 $(PYTEST_ARGS)
	LIENTHONG_RULES=200 $(BIN)/python -m pytest tests/faults/test_model.py -p no:randomly --timeout 3600 $(PYTEST_ARGS)
	PYTHONPATH=src $(BIN)/python tools/fuzz.py 60

# Every package that runs and tests, with version and licence (CycloneDX).
sbom: $(VENV)/installed-test
	$(BIN)/python tools/sbom.py > sbom.json

clients: $(CLIENTS)/installed

lock: $(VENV)/installed-test
	for part in "" -test -clients; do \
	  $(BIN)/uv pip compile -q --universal --python-version 3.11 $(UPGRADE) --generate-hashes --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links $$([ "$$part" = -test ] && echo "-c requirements.lock") \
	    requirements$$part.in -o requirements$$part.lock || exit 1; \
	done

clean:
	rm -rf $(VENV) $(CLIENTS) .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
	  { echo "$(PYTHON) lacks the venv module; on Debian: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Stamps: a newer lock installs again, nothing else does.
$(VENV)/installed: requirements.lock pyproject.toml README.md | $(BIN)/python
	@echo "Installing what runs (requirements.lock) ..."
	@$(BIN)/python $(PIP) install --require-hashes -r requirements.lock
	@$(BIN)/python $(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/installed-test: requirements-test.lock $(VENV)/installed
	@echo "Installing what tests (requirements-test.lock) ..."
	@$(BIN)/python $(PIP) install --require-hashes -r requirements-test.lock
	@touch $@

$(CLIENTS)/installed: requirements-clients.lock | $(BIN)/python
	@echo "Installing foreign clients (requirements-clients.lock) ..."
	@$(PYTHON) -m venv $(CLIENTS)
	@$(CLIENTS)/bin/python $(PIP) install --require-hashes -r requirements-clients.lock
	@touch $@
