# make demo         plan the bundled sample and say where the results lie
# make test         lint, types, doctests, tests, notebooks
# make test-lowest  the tests with the lowest versions that pyproject.toml promises
# make test-postgres  install PostgreSQL if need be (Debian, as root), and test the register on it
# make test-wheel   build the wheel, install it elsewhere, run its demo
# Each sets up what it needs. PYTHON=python3.12 chooses another Python.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := demo
.PHONY: demo test lint types tests test-lowest test-postgres postgres test-wheel constraints clean

PYTHON ?= python3
# The oldest releases have wheels up to Python 3.12 only.
LOWEST_PYTHON ?= $(firstword $(foreach name,$(PYTHON) python3.11 python3.12,$(shell \
  $(name) -c 'import sys; (3, 11) <= sys.version_info < (3, 13) and print("$(name)")' 2>/dev/null)))
VENV := .venv
LOWEST := .venv-lowest
PIP := -m pip --disable-pip-version-check install --quiet

demo: $(VENV)/.installed
	$(VENV)/bin/gridpart demo -o demo

test: lint types tests

lint: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(VENV)/.installed-dev
	$(VENV)/bin/mypy

# A file of tests stays in one process: what its tests share is made once.
tests: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -n auto --dist loadfile

# Deprecations of old releases among each other are theirs: warnings are no errors here.
test-lowest: $(LOWEST)/.installed
	export NUMBA_CACHE_DIR=$(CURDIR)/$(LOWEST)/kernels; $(LOWEST)/bin/gridpart warm; \
	$(LOWEST)/bin/python -m pytest -n auto --dist loadfile -p no:cacheprovider -W default --disable-warnings

# The tests that need a PostgreSQL server, which they start themselves; none of them may skip.
test-postgres: $(VENV)/.installed-dev postgres
	GRIDPART_POSTGRES=required $(VENV)/bin/python -m pytest tests/test_postgres.py tests/test_register*.py -k postgres

postgres:
	@command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null; } || \
	  { echo "no PostgreSQL server is installed, and none can be:" \
	         "on Debian or Ubuntu, as root: apt install postgresql" >&2; exit 1; }

# The wheel is proven where nothing of this folder can be imported.
test-wheel: $(VENV)/.installed-dev
	rm -rf dist
	$(VENV)/bin/python -m pip --disable-pip-version-check wheel --quiet --no-deps -w dist .
	folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	$(PYTHON) -m venv "$$folder/venv"; \
	"$$folder/venv/bin/python" $(PIP) -c constraints.txt dist/*.whl; \
	cd "$$folder"; venv/bin/gridpart demo -o demo; \
	venv/bin/python -c "import gridpart, sys; sys.exit(not gridpart.__file__.startswith(sys.prefix))"; \
	test -s demo/plan.gpkg; ls demo; echo "the wheel works: $$(venv/bin/gridpart --version)"

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(VENV)/bin/python $(PIP) -c constraints.txt -e .
	$(VENV)/bin/gridpart warm
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(VENV)/bin/python $(PIP) -c constraints.txt -e '.[dev]'
	$(VENV)/bin/gridpart warm
	touch $@ $(VENV)/.installed

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "gridpart needs Python 3.11 or newer; $(PYTHON) is: $$($(PYTHON) --version 2>&1)." \
	         "Name another: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "no virtual environment could be made;" \
	         "on Debian or Ubuntu: apt install python3-venv" >&2; exit 1; }

$(LOWEST)/.installed: pyproject.toml constraints-lowest.txt
	@test -n "$(LOWEST_PYTHON)" || \
	  { echo "the lowest versions need Python 3.11 or 3.12:" \
	         "make LOWEST_PYTHON=python3.11 test-lowest" >&2; exit 1; }
	$(LOWEST_PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python $(PIP) --prefer-binary -c constraints-lowest.txt -e '.[test]'
	touch $@

# Write constraints.txt anew from the newest releases, in an environment of its own.
constraints:
	folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	$(PYTHON) -m venv "$$folder"; "$$folder/bin/python" $(PIP) '.[dev]'; \
	{ sed '/^[^#]/,$$d' constraints.txt; \
	  "$$folder/bin/python" -m pip --disable-pip-version-check freeze --exclude gridpart; \
	} > "$$folder/constraints.txt"; \
	cp "$$folder/constraints.txt" constraints.txt

clean:
	rm -rf $(VENV) $(LOWEST) dist demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find gridpart tests -name __pycache__ -type d -prune -exec rm -rf {} +
