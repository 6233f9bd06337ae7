# registry-bot. `make help` says what there is.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
AUDIT  := .venv-audit
WORKERS ?= $(shell n=$$(nproc); echo $$((n < 4 ? n : 4)))
SUDO   := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# What the tests run against that does not come from PyPI.
PACKAGES := docker-registry openssl chromium postgresql docker.io busybox-static
# Ubuntu has Chromium only as a snap: where apt has none, the tests of the page skip and say so.
OPTIONAL := chromium

.DEFAULT_GOAL := help
.PHONY: help setup system demo test crash check audit bench pictures format lock clean

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 12

setup: system $(STAMP) ## install everything the project needs, and say what

system:
	@missing=""; \
	for p in $(PACKAGES); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3-venv"; \
	: "an engine of another make, which docker.io would replace, is as good"; \
	if command -v dockerd >/dev/null 2>&1; then \
	  missing=$$(echo "$$missing" | sed 's/ docker\.io\b//'); fi; \
	if [ -n "$$missing" ]; then \
	  echo "installing system packages:$$missing"; \
	  $(SUDO) apt-get update -qq; \
	  for p in $(OPTIONAL); do apt-cache show $$p >/dev/null 2>&1 || { \
	    echo "apt has no $$p: going on without it"; \
	    missing=$$(echo "$$missing" | sed "s/ $$p\b//"); }; done; \
	  [ -n "$$missing" ] || exit 0; \
	  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	  for s in docker-registry postgresql docker; do \
	    if systemctl is-active --quiet $$s 2>/dev/null; then \
	      echo "the package $$s has started a service of its own, which nothing here needs;"; \
	      echo "  to stop it: systemctl disable --now $$s"; \
	    fi; \
	  done; \
	fi

$(STAMP): requirements.lock pyproject.toml
	@echo "installing Python packages from requirements.lock into $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Nothing of the system's is touched where a registry and venv are there already.
demo: ## play with it in the browser, without any account (DEMO="--port 8091" for options)
	@{ command -v registry || command -v docker-registry; } >/dev/null \
	  && $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || $(MAKE) --no-print-directory system PACKAGES=docker-registry
	@$(MAKE) --no-print-directory $(STAMP)
	@exec $(BIN)/registry-bot demo $(DEMO)

# A file of tests stays with one worker, and files start in the order of their names: those that
# take longest (browser, engine) come first.
# Hundreds of bots are started as processes: where bytecode is not kept, each compiles itself anew.
test: setup ## run the tests (on a real registry; WORKERS=1 for one after the other)
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder

crash: SEEDS = 300
crash: setup ## crashes and outages by seeded schedules (SEEDS=300; SEED=123 plays one again)
	CRASH_LINES=1 CRASH_SEEDS=$(SEEDS) CRASH_SEED=$(SEED) $(BIN)/python -m pytest -q tests/crash \
	  -n $(if $(SEED),0,2)

check: setup ## lint, formatting, types, and known weaknesses of the locked packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@$(MAKE) --no-print-directory audit

# It brings thirty packages of its own, which the bot's environment has no use for.
audit: ## compare every locked package with the published advisories
	@test -x $(AUDIT)/bin/pip-audit \
	  || { $(PYTHON) -m venv $(AUDIT) && $(AUDIT)/bin/python -m pip install --quiet \
	    --disable-pip-version-check pip-audit==2.10.1; } || echo "pip-audit cannot be installed"
	@$(PYTHON) -m tools.audit_dependencies $(AUDIT)/bin/pip-audit

bench: setup ## measure, as ratios: collections against the bare command, acknowledgements against bare Bolt
	$(BIN)/python -m bench.collection
	$(BIN)/python -m bench.load

# The pictures show emoji in colour; the tests do not look at them.
pictures: PACKAGES += fonts-noto-color-emoji fonts-liberation
pictures: setup ## take the pictures of the manual anew (docs/pictures)
	$(BIN)/python -m tools.pictures

format: setup ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: setup ## resolve the dependencies again (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header pyproject.toml --group dev -o requirements.lock

clean: ## remove what was installed and built
	rm -rf $(VENV) $(AUDIT) build dist .pytest_cache .mypy_cache .ruff_cache
