# `make help` lists what can be made. Each target makes its own virtual environment first if there is none.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
REFERENCE ?= .reference

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow lint type compile bench bench-decoding reference golden lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## make the virtual environment .venv with everything in it

$(INSTALLED): setup.cfg constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --constraint constraints.txt \
	    --editable '.[train,pipeline,speech,dev]'
	@touch $@

demo: $(INSTALLED) ## bring a real English checkpoint to two other languages, in a few minutes
	$(BIN)/python -m demo

test: $(INSTALLED) ## run the default test suite
	$(BIN)/python -m pytest -m "not slow and not reference"

test-slow: $(INSTALLED) ## run the tests that take long
	$(BIN)/python -m pytest -m slow

lint: $(INSTALLED) ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: $(INSTALLED) ## check types
	$(BIN)/mypy

compile: $(INSTALLED) ## write bootstrap.yaml and every component.yaml anew
	$(BIN)/stt-bootstrap compile

bench: $(INSTALLED) ## measure training speed, beside Coqui's if `make reference` installed it
	$(BIN)/python -m tests.benchmarks.training_speed \
	    $(if $(wildcard $(REFERENCE)/train),--reference $(REFERENCE))

bench-decoding: $(INSTALLED) ## measure decoding with a scorer beside Coqui's (after `make reference`)
	$(BIN)/python -m tests.benchmarks.decoding_speed --reference $(REFERENCE)

reference: $(INSTALLED) ## install Coqui STT 1.4.0 into .reference and compare with it (needs Python 3.7 and 3.10)
	tests/golden/install_reference.sh $(REFERENCE)
	STT_REFERENCE_DIR=$(abspath $(REFERENCE)) $(BIN)/python -m pytest -m reference

lock: $(INSTALLED) ## resolve constraints.txt anew for every Python that is supported
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --no-header --no-annotate \
	    --all-extras --no-emit-package stt-bootstrap setup.cfg --output-file constraints.txt

clean: ## remove what these targets made
	rm -rf $(VENV) build *.egg-info demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis
