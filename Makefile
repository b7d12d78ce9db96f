# Every target makes the environment it needs; nothing is installed outside this folder.
PYTHON ?= python3
VENV := .venv
MODELS := .venv-models
BIN := $(VENV)/bin
# A virtual environment is as old as its last install: it is made again when what it depends on changes.
READY := $(VENV)/.ready
MODELS_READY := $(MODELS)/.ready

.PHONY: help demo demo-full test test-long test-vm test-phone test-fast lint check package format smollm2 demo-model runtimes-models students executorch-model benchmarks clean

help:  ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/'

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "benchharness needs Python 3.11 or later; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: $(READY)  ## benchmark the bundled demo model in three runtimes and write report/
	@mkdir -p build
	$(BIN)/benchharness demo --out report --store sqlite:///build/demo.db

# Exit code 3 of the second: LiteRT-LM gives no logits, so its quality is a job without a figure.
demo-full: runtimes-models  ## the same at every precision, and in every runtime that is here: about twenty minutes
	$(BIN)/benchharness run examples/demo_model/suite-full.toml --out report --store sqlite:///build/demo.db
	$(BIN)/benchharness run build/demo_model/suite-runtimes.toml --out report/runtimes --store sqlite:///build/demo.db || test $$? = 3

# tflite-runtime wants numpy below 2 and Python 3.9 to 3.11, so it has an environment of its own, where there is such a
# Python; without one its tests are skipped, and say so.
OLD_PYTHON := $(firstword $(shell for name in python3.11 python3.10 python3.9 $(PYTHON); do \
  $$name -c 'import sys; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 11))' 2>/dev/null && echo $$name; done))
TFLITE_RUNTIME := .venv-tflite-runtime
TFLITE_RUNTIME_READY := $(if $(OLD_PYTHON),$(TFLITE_RUNTIME)/.ready)

$(TFLITE_RUNTIME)/.ready:
	$(OLD_PYTHON) -m venv $(TFLITE_RUNTIME)
	$(TFLITE_RUNTIME)/bin/python -m pip install --quiet --upgrade pip
	$(TFLITE_RUNTIME)/bin/python -m pip install --quiet 'tflite-runtime==2.14.0' 'numpy<2' pytest
	@touch $@

# What measures, or ends processes, runs alone; the rest in two processes. Options for pytest: make test PYTEST='-x'
PYTEST ?=
TWO := --numprocesses=2 --dist=loadfile

# The second half runs though the first has failed: all that is wrong is told at once.
define both_halves
	@failed=; \
	$(BIN)/python -m pytest $(TWO) -m 'not alone and $(1)' $(PYTEST) || failed=1; \
	$(BIN)/python -m pytest -m 'alone and $(1)' $(PYTEST) || failed=1; \
	test -z "$$failed"
endef

test: $(READY) $(TFLITE_RUNTIME_READY)  ## every kind of test, in about ten minutes; says what could not be tried here
	$(call both_halves,not long)

test-long: $(READY) $(TFLITE_RUNTIME_READY)  ## the rest: real runs in real time, kills at many moments, every case
	$(call both_halves,long)

test-fast: $(READY)  ## about a minute: the tests for the loop, without real runs and real compression
	$(BIN)/python -m pytest $(TWO) -m 'not alone and not slow and not long' tests/unit $(PYTEST)

lint: $(READY)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Not among the tests of every day: it makes a Debian with debootstrap, which wants root, and starts it with qemu.
test-vm: $(READY)  ## control groups of version 2, systemd and SSH in a virtual machine of its own, kept in build/vm
	BENCHHARNESS_VM=1 $(BIN)/python -m pytest tests/vm $(PYTEST)

# Nor this: Debian's Python and the runtimes' wheels for aarch64 under emulation take a quarter of an hour.
test-phone: $(READY)  ## a phone with nothing on it, emulated: prepared and run over adb; what it fetches is kept in build/phone
	BENCHHARNESS_PHONE=1 $(BIN)/python -m pytest tests/phone $(PYTEST)

check: lint  ## ruff, mypy and every test, the long ones too
	@failed=; \
	$(MAKE) test || failed=1; \
	$(MAKE) test-long || failed=1; \
	test -z "$$failed"

# More interpreters to try the wheel with: make package PYTHONS='python3.12 python3.13'
PYTHONS ?=
package: $(READY)  ## build the wheel, look into it, and run the demo from it in an empty environment
	$(BIN)/python .ci/package.py $(PYTHONS)

format: $(READY)  ## rewrite the code in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(MODELS_READY): examples/requirements-models.txt
	$(PYTHON) -m venv $(MODELS)
	$(MODELS)/bin/python -m pip install --quiet --upgrade pip
	# torch first and alone: the packages after it are content with this CPU build
	$(MODELS)/bin/python -m pip install --quiet torch==2.13.0
	$(MODELS)/bin/python -m pip install --quiet -r examples/requirements-models.txt
	@touch $@

smollm2: $(MODELS_READY)  ## build SmolLM2-135M-Instruct at every precision into build/smollm2
	$(MODELS)/bin/python examples/smollm2/build.py --out build/smollm2

demo-model: $(MODELS_READY)  ## train and export the bundled demo model again
	$(MODELS)/bin/python examples/demo_model/build.py

runtimes-models: $(READY)  ## the bundled demo model for further runtimes, and a suite of them, in build/demo_model
	$(BIN)/python examples/demo_model/runtimes.py

students: $(READY)  ## the bundled demo model in other vocabularies, and a suite that compares them, in build/demo_model
	$(BIN)/python examples/demo_model/students.py

# A gigabyte and a half with torch, so an environment of its own, and made on demand only.
EXECUTORCH := .venv-executorch
EXECUTORCH_READY := $(EXECUTORCH)/.ready

$(EXECUTORCH_READY):
	$(PYTHON) -m venv $(EXECUTORCH)
	$(EXECUTORCH)/bin/python -m pip install --quiet --upgrade pip
	# torch first and alone: the packages after it are content with this CPU build
	$(EXECUTORCH)/bin/python -m pip install --quiet torch==2.13.0
	$(EXECUTORCH)/bin/python -m pip install --quiet 'executorch>=1.5' onnx pytest tokenizers
	@touch $@

executorch-model: $(EXECUTORCH_READY)  ## the same for ExecuTorch, in an environment of its own of 1.5 GB
	$(EXECUTORCH)/bin/python examples/demo_model/executorch_model.py
	$(EXECUTORCH)/bin/python examples/demo_model/executorch_model.py --longest 1 --out build/demo_model/executorch-one

benchmarks: $(READY)  ## how fast and how true the harness is; wants make smollm2 first, and a quiet machine
	$(BIN)/python -m benchmarks

clean:  ## remove environments and everything built
	rm -rf $(VENV) $(MODELS) $(TFLITE_RUNTIME) $(EXECUTORCH) build report
