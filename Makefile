# Everything sets itself up: Python 3.11 or newer is all that must be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := --constraint constraints.txt --editable '.[dev]'
PYTEST := $(BIN)/python -m pytest
GPU_PATH := PYTHONPATH=src:benchmarks

.PHONY: demo test test-all mutants check format gpu gpu-kernels clean docs

demo: $(VENV)/.installed  ## pre-train on photographs that come along, to a report, in under five minutes
	$(BIN)/fcmae pretrain --data sample --out runs/demo --overwrite --epochs 8 --image-size 128 \
	  --batch-size 32 --set base_learning_rate=2e-3
	@echo "Open runs/demo/report.html"

test: $(VENV)/.installed  ## the tests, without the slow ones
	$(PYTEST) -n 2 -m "not slow and not gpu"

test-all: $(VENV)/.installed  ## all tests that need no GPU
	$(PYTEST) -n 2 -m "not gpu" --timeout=1800

mutants: $(VENV)/.installed  ## which of the mistakes in tests/mutants/planted no test notices; ARGUMENTS=--help
	PYTHONPATH=tests $(BIN)/python -m mutants $(ARGUMENTS)

check: $(VENV)/.installed  ## format, lint, types, floors, then the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test

format: $(VENV)/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.installed  ## write anew what is generated: docs/recipes.md, a part of docs/reproduce.md
	$(BIN)/python -m fcmae.recipes.page docs/recipes.md
	$(GPU_PATH) $(BIN)/python -m gpu.reproduce benchmarks/results docs/reproduce.md

# What only a GPU can show, with the Python that has torch; one JSON file and a page, whole at any
# moment. DATA=DIR, of train/CLASS and val/CLASS: the toy study too. CACHE=DIR: of compiled kernels.
gpu:
	$(GPU_PATH) $(PYTHON) -m gpu --minutes $(or $(MINUTES),9) $(if $(OUT),--out $(OUT)) \
	  $(if $(DATA),--data $(DATA)) $(if $(CACHE),--cache $(CACHE)) $(ARGUMENTS)

gpu-kernels:  ## compile Triton's kernels for an H100 without having one, into CACHE=DIR
	$(GPU_PATH) $(PYTHON) -m gpu.precompile --cache $(or $(CACHE),.triton)

# uv installs in half a minute what takes pip several; it comes from pip itself. It trusts the
# system's certificates here, as pip does; where it still cannot reach an index, pip is tried.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12 ..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	UV_SYSTEM_CERTS=1 $(BIN)/python -m uv pip install --quiet --compile-bytecode --python $(BIN)/python $(PACKAGES) || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PACKAGES)
	touch $@

clean:
	rm -rf $(VENV) runs build dist .pytest_cache .mypy_cache .ruff_cache
