# The same commands as CI. VENV may point to another environment.
VENV ?= .venv
PY := $(VENV)/bin/python
SHELL := /bin/bash

.PHONY: help install check lint types layers crds crds-check test demo clean

help:            ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | sort

$(VENV)/.installed: pyproject.toml constraints.txt
	python3 -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

install: $(VENV)/.installed  ## a virtual environment with everything, pinned

check: install   ## format, lint, types, layers, CRD drift, fast tests
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy operator sandbox tests bench
	$(VENV)/bin/lint-imports
	$(PY) -m qdrant_operator crds --check
	$(PY) -m pytest -q -n 2 tests --ignore tests/integration --ignore tests/contract

test: install    ## every tier, on a real API server
	$(PY) -m pytest tests

crds: install    ## write crds/ and the chart's copy
	$(PY) -m qdrant_operator crds --write

demo: install    ## three manifests become a running, backed-up cluster (KEEP=1 leaves it running)
	$(PY) -m sandbox.demo $(if $(KEEP),--keep)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
