# `make` lists the commands.

VENV := .venv
RUN  := PATH="$(CURDIR)/$(VENV)/bin:$$PATH"
UV   := UV_PROJECT_ENVIRONMENT=$(VENV) $(VENV)/bin/uv
# The version of uv in uv.lock.
UV_VERSION = $(shell sed -n '/^name = "uv"$$/{n;s/version = "\(.*\)"/\1/p;}' uv.lock)

# Ignore environment variables that would change what is installed or run; environment.py lists them.
unexport $(shell sed -n 's/^    "\([A-Z][A-Z0-9_]*\)",.*/\1/p' $(CURDIR)/src/reprocnn/environment.py 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help setup run serve test test-all test-slow chaos lint ui benchmark clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

READY := $(VENV)/ready$(subst --extra=,-,$(EXTRA))

setup: $(READY) ## create .venv with the packages of uv.lock (other commands do this first)

# EXTRA=--extra=cuda also installs the GPU packages, EXTRA=--extra=fonts the fonts.
$(READY): uv.lock pyproject.toml
	@python=$$(for p in $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python); do \
	  $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done); \
	if [ -z "$$python" ]; then echo "error: no Python 3.11, 3.12 or 3.13 found; install one, or name it: make setup PYTHON=/path/to/python" >&2; exit 1; fi; \
	[ -x $(VENV)/bin/python ] || "$$python" -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "error: $$python can't create a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@$(VENV)/bin/python -m pip --version >/dev/null 2>&1 || $(VENV)/bin/python -m ensurepip >/dev/null
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(UV) sync --frozen --inexact --compile-bytecode --quiet $(EXTRA)
	@touch $@

run: setup ## run the pipeline and print its result; DATASET=mnist: as an experiment on that data set
	@message=$$(LC_ALL=C git rev-parse --verify --quiet HEAD 2>&1) || { case "$$message" in ""|*"not a git repository"*) \
	  echo "error: this is not a Git repository with a commit, and DVC needs one" >&2; \
	  echo "  fix: clone it, or here: git init && git add -A && git commit -m start" >&2;; \
	  *) echo "$$message" >&2;; esac; exit 1; }
	@$(RUN) sh -c 'dvc $(if $(DATASET),exp run -S dataset=$(DATASET),repro) $$(dvc remote default >/dev/null 2>&1 && echo --pull)'
	@$(RUN) python -m reprocnn summary

serve: ## answer pictures over HTTP; PORT=8080, MODEL=FILE
	@$(MAKE) --silent setup EXTRA=--extra=serve
	@$(RUN) python -m reprocnn serve $(if $(PORT),--port $(PORT)) $(if $(MODEL),--model $(MODEL))

PYTEST := python -m pytest -n auto --maxprocesses 4 --dist worksteal

test: setup ## run the tests (5 to 10 minutes on two cores)
	@$(RUN) $(PYTEST)

test-all: test ## run the tests, then the slow ones
	@$(MAKE) --silent test-slow

test-slow: setup ## run the slow tests alone (10 to 20 minutes on two cores)
	@$(RUN) $(PYTEST) -m "slow and not network and not chaos and not fonts and not formats and not serve and not browser and not sweep and not service"

chaos: setup ## inject many faults and print what happened (about 20 minutes); EXTRA=--extra=sweep: in a sweep, too
	@$(RUN) python -m pytest --chaos -m "not network$(if $(findstring sweep,$(EXTRA)),, and not sweep)" \
	  tests/test_faults.py tests/test_sweep_faults.py

lint: setup ## check style, format and types
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy
	@$(RUN) MYPYPATH=src:stages:benchmarks:tests mypy tests --explicit-package-bases --implicit-reexport \
	  --disable-error-code=arg-type --disable-error-code=comparison-overlap --disable-error-code=call-overload

ui: setup ## show the runs in the MLflow UI
	@$(RUN) python -m reprocnn ui

benchmark: setup ## measure the numbers in docs/speed.md (two hours); TORCH=PYTHON adds PyTorch, IMAGES=FOLDER adds CIFAR-10
	@$(RUN) python benchmarks/pipeline.py
	@$(RUN) python benchmarks/training.py $(if $(TORCH),--torch $(TORCH))
	@$(RUN) python benchmarks/models.py
	@$(RUN) python benchmarks/prediction.py
	@$(if $(IMAGES),$(RUN) python benchmarks/time_to_accuracy.py $(IMAGES))

clean: ## remove generated data, models, the MLflow store and caches; keep .venv, DVC's cache, experiments, your images
	rm -rf data/raw data/processed data/examples data/explanations data/label_errors models mlflow.db* mlartifacts
	rm -rf .pytest_cache .mypy_cache .ruff_cache
	rm -rf reports/predictions.csv reports/report.html reports/model_card.md reports/compare.html reports/audit.html dvc_plots
	find src stages tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
