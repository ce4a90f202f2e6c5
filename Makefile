# Every command runs in a virtual environment that is made on first use and kept up to date.
# `make help` lists the commands.

# Tried in this order, on PATH and among pyenv's versions, unless PYTHON names one.
PYTHONS ?= python3.11 python3.12 python3.13 python3.10 python3.9 python3
PYTHON ?=
VENV ?= .venv
ARGS ?=

TF_CPP_MIN_LOG_LEVEL ?= 3
PIP_DISABLE_PIP_VERSION_CHECK ?= 1
export PYTHONS PYTHON VENV TF_CPP_MIN_LOG_LEVEL PIP_DISABLE_PIP_VERSION_CHECK

.PHONY: help quickstart test test-slow test-all mutants check check-style check-format check-types check-imports
.PHONY: docs venv venv-dev venv-docs which-python clean

help:
	@echo "make quickstart   train, evaluate and export a first robust classifier"
	@echo "make test         run the tests, some minutes on two cores"
	@echo "make test-slow    run the others: trainings until they work, notebooks, large images"
	@echo "make test-all     run both"
	@echo "make mutants      change the code in many ways and see that the tests notice"
	@echo "make check        check style, format, types and the direction of imports"
	@echo "make docs         build the docs site, build/docs/index.html"
	@echo "make clean        remove the environment, caches and build output; results stay"
	@echo
	@echo "Variables:"
	@echo "  ARGS=\"...\"        passed on: make test ARGS=\"-k brightness -x\" runs pytest so"
	@echo "  PYTHON=python3.12 the Python (3.9 to 3.13) to make the environment with"
	@echo "  VENV=.venv        the environment's folder"

quickstart: venv
	@$(VENV)/bin/tfrobust quickstart $(ARGS)

test: venv
	@$(VENV)/bin/python $(if $(ARGS),-m pytest $(ARGS),tools/run_tests.py quick)

test-slow: venv
	@$(VENV)/bin/python tools/run_tests.py slow

test-all: venv
	@$(VENV)/bin/python tools/run_tests.py all

mutants: venv
	@$(VENV)/bin/python tools/mutants.py $(ARGS)

check: check-style check-format check-types check-imports

check-style: venv-dev
	@$(VENV)/bin/python -m ruff check .

check-format: venv-dev
	@$(VENV)/bin/python -m ruff format --check .

check-types: venv-dev
	@$(VENV)/bin/python -m mypy

check-imports: venv-dev
	@$(VENV)/bin/python -m pytest tests/contracts/test_import_direction.py $(ARGS)

docs: venv-docs
	@rm -rf build/docs build/doctrees docs/api
	@$(VENV)/bin/python -m sphinx -q -W --keep-going -c docs -d build/doctrees . build/docs
	@echo "The docs site: build/docs/index.html"

venv:
	@EXTRAS=test tools/environment.sh update

venv-dev: venv
	@EXTRAS=test,dev tools/environment.sh update

venv-docs: venv
	@EXTRAS=docs tools/environment.sh update

which-python:
	@tools/environment.sh which-python

clean:
	@if [ -e "$(VENV)" ]; then tools/environment.sh clear && rm -rf "$(VENV)"; fi
	rm -rf build dist docs/api *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find tfrobust tests -name __pycache__ -type d -prune -exec rm -rf {} +
