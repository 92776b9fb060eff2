# make demo · make test · make lint · make parity · make bench: each sets up what it needs first.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test lint format parity bench clean

demo: .venv/.installed
	$(BIN)/python main.py --config configs/digits.py --workdir runs/digits

test: .venv/.dev
	$(BIN)/python -m pytest -q -n 2 -m "not parity"

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

parity: .venv/.parity
	$(BIN)/python -m pytest -q -n 2 -m parity

bench: .venv/.installed
	$(BIN)/python bench/train_step.py

clean:
	rm -rf .venv runs build

.venv/bin/python:
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "tljax needs Python 3.11 or later: make PYTHON=python3.12"'
	$(PYTHON) -m venv .venv

.venv/.installed: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable .
	@touch $@

.venv/.dev: .venv/.installed
	$(PIP) --editable '.[dev]'
	@touch $@

.venv/.parity: .venv/.dev
	$(PIP) --editable '.[parity]'
	@touch $@
