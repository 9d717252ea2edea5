# Everything a developer types. `make up` and `make test` are the README's first two commands.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WHEELS := build/wheelhouse
NAME ?= olares
CLI := $(BIN)/olares-cli
SYSTEM := $(shell uname -s)
# A third of the tests' time is waiting, for processes and sockets: two workers a core.
WORKERS := $(shell expr 2 \* `getconf _NPROCESSORS_ONLN`)

.PHONY: help up down test check goldens e2e e2e-long e2e-vm bench docs wheelhouse clean

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

$(BIN)/.ready: pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

wheelhouse: $(BIN)/.ready ## the wheels of this program and all it needs, for machines and other hosts
	$(BIN)/python -m tools.wheelhouse $(WHEELS)

# On macOS the machine is minikube's and nothing is shipped into it.
up: $(if $(filter Darwin,$(SYSTEM)),$(BIN)/.ready,wheelhouse) ## a machine with a running Olares in it, from nothing
	$(CLI) machine up $(NAME)

down: $(BIN)/.ready ## remove that machine and all it needed on this computer
	$(CLI) machine delete $(NAME) --yes

test: $(BIN)/.ready ## unit and contract tests, linters, types, import rules
	$(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal

check: $(BIN)/.ready ## linters and types only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

goldens: $(BIN)/.ready ## plans and precheck tables of the recorded hosts, written anew; read the diff
	$(BIN)/python -m tests.hosts write

e2e: wheelhouse ## the real thing in machines (root, Debian mirror; up to an hour with nothing cached)
	$(BIN)/python -m tests.e2e

e2e-long: wheelhouse ## e2e with every action killed once (hours)
	$(BIN)/python -m tests.e2e --long

e2e-vm: wheelhouse ## infrastructure in a QEMU guest with stock Debian 12 (cgroup v2)
	$(BIN)/python -m tests.vm

bench: wheelhouse ## the budgets, measured
	$(BIN)/python -m tests.bench

docs: $(BIN)/.ready ## the reference pages
	$(BIN)/python docs/generate.py

clean: ## what building made here
	rm -rf $(VENV) build
