# Two commands on a fresh machine: `make demo` and `make test`.
# Both create or complete .venv themselves and can be repeated for free.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

VENV_PYTHON := .venv/bin/python
# One core a test worker: threads that compete make everything slower.
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 8 ? n : 8)))
PYTEST_ARGS ?=
BENCH_ARGS ?=

.PHONY: help demo test lint bench clean

help:  ## show this list
	@echo 'mmskysense: SkySense V2 as an OpenMMLab plugin'
	@echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14
	@echo
	@echo 'Settings (make demo PYTHON=python3.12):'
	@echo '  PYTHON            interpreter to make .venv with (3.10 to 3.12)'
	@echo '  DEMO              options of tools/demo.py, e.g. DEMO="--encoder weights/FILE"'
	@echo '  MAX_JOBS          parallel compilations of mmcv ops (make test)'
	@echo '  WORKERS           parallel test workers (now $(WORKERS))'
	@echo '  PYTEST_ARGS       more arguments for pytest, e.g. -k moe'
	@echo '  MMSKYSENSE_CACHE  where the compiled mmcv wheel is kept'
	@echo '  pip variables such as PIP_INDEX_URL apply as usual.'

demo:  ## sample world to georeferenced map and report (8 minutes + downloads)
	@bash .ci/environment.sh demo
	@$(VENV_PYTHON) tools/demo.py $(DEMO)

test:  ## every test (12 minutes + building the mmcv ops once, 13 minutes)
	@bash .ci/environment.sh test
	@export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1; \
	$(VENV_PYTHON) -m pytest -n $(WORKERS) --dist loadfile --durations 15 $(PYTEST_ARGS)

lint:  ## ruff and mypy (1 minute)
	@bash .ci/environment.sh lint
	@$(VENV_PYTHON) -m ruff check .
	@$(VENV_PYTHON) -m mypy
	@for script in tools/*.sh .ci/run .ci/*.sh; do bash -n $$script; done

bench:  ## every benchmark, figures into work_dirs/benchmarks/*.json
	@bash .ci/environment.sh test
	@mkdir -p work_dirs/benchmarks
	@for file in tools/benchmarks/*.py; do \
	  name=$$(basename $$file .py); \
	  [ $$name != __init__ ] || continue; \
	  echo "== $$name"; \
	  $(VENV_PYTHON) $$file --json work_dirs/benchmarks/$$name.json $(BENCH_ARGS); \
	done

clean:  ## remove .venv, caches and build leftovers (not data, not work_dirs)
	rm -rf .venv .cache build dist *.egg-info mmskysense/.mim
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
