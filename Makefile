# make demo [PROMPT="..."]   a clip with the shipped model, its contact sheet and its x-t slice, in out/
# make test                  the test suite without its slowest tests
# make test-all              all tests
# make fuzz                  CALLS=2000 broken calls: no traceback, no hang, nothing left behind
# make check                 ruff, mypy and the import rules
# make bench                 one denoising step beside other nets
# Everything runs in $(VENV), made on the first call and left alone until pyproject.toml changes.
# TORCH="torch==2.8.0" chooses a build of torch; else it is the CPU build where there is no NVIDIA GPU.

PYTHON ?= python3
VENV   ?= .venv
OUT    ?= out
PROMPT ?= a frog growing on a purple background
SEED   ?= 7
CALLS  ?= 2000

LUMIERE := $(VENV)/bin/lumiere
NAME     = $(OUT)/$(shell printf '%s' '$(subst ','\'',$(PROMPT))' | tr -cs '[:alnum:]' '-' | cut -c1-60 | sed 's/^-*//; s/-*$$//')

export PROMPT

# Processes of one thread each are faster than one process of several threads, but each takes up to 2 GB.
# Where Python is set to write no bytecode, each process that a test starts would compile torch's sources.
PYTEST  := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n auto --maxprocesses 4 --dist worksteal

.PHONY: demo test test-all fuzz check bench format help
.DEFAULT_GOAL := help

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

demo: $(VENV)/.user
	@mkdir -p '$(OUT)'
	$(LUMIERE) generate "$$PROMPT" --seed $(SEED) --out '$(NAME).mp4' --overwrite
	$(LUMIERE) show '$(NAME).mp4' --sheet '$(NAME)-sheet.png' --xt-slice '$(NAME)-slice.png' --overwrite

test: $(VENV)/.dev
	$(PYTEST)

test-all: $(VENV)/.dev
	$(PYTEST) -m ''

fuzz: $(VENV)/.dev
	$(VENV)/bin/python tests/fuzz/run.py --calls $(CALLS) --seed $(SEED)

check: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(VENV)/.dev
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(VENV)/.user
	$(LUMIERE) bench

$(VENV)/.user: pyproject.toml scripts/setup
	scripts/setup '$(VENV)' '$(PYTHON)'
	@touch $@

$(VENV)/.dev: pyproject.toml scripts/setup
	scripts/setup '$(VENV)' '$(PYTHON)' dev,train
	@touch $@ '$(VENV)/.user'
