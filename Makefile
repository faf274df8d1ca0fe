# `make` alone lists the targets. Everything is installed into .venv, and again only when
# pyproject.toml, constraints.txt or the place of the checkout changes.

PYTHON ?= python3

VENV := .venv
PY := $(VENV)/bin/python
# An editable install is tied to where the checkout lies, so the stamps are too.
PLACE := $(firstword $(shell pwd | cksum))
MADE := $(VENV)/.made-$(PLACE)
CORE := $(VENV)/.core-$(PLACE)
TEST := $(VENV)/.test-$(PLACE)
DEV := $(VENV)/.dev-$(PLACE)
DOCS := $(VENV)/.docs-$(PLACE)
PACKAGES := mcsc $(wildcard unfolded)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
MAKEFLAGS += --no-print-directory

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow lint docs links bench fuzz dictionaries weights clean gpu

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(CORE) ## decompose a sample pair of images and restore one; pictures go to demo_output/
	@$(VENV)/bin/mcsc demo --out demo_output

# One process a core, up to eight; whoever is idle takes tests from the others.
PARALLEL := -n auto --maxprocesses 8 --dist worksteal
# What is compiled once serves all processes, of which tests start many: also where the environment
# says that nothing is to be kept, as that of containers often does.
test test-slow: export PYTHONDONTWRITEBYTECODE :=

test: $(TEST) ## run the tests and the docstrings' examples, all but the slow ones
	@$(PY) -m pytest $(PARALLEL) -m "not slow" --doctest-modules --doctest-ignore-import-errors tests $(PACKAGES)

test-slow: $(TEST) ## run the slow tests
	@$(PY) -m pytest -m slow --collect-only -q >/dev/null 2>&1; \
	if [ $$? -eq 5 ]; then echo "No test is marked slow."; else $(PY) -m pytest -m slow; fi

lint: $(DEV) ## check style, formatting and types
	@failed=0; \
	$(VENV)/bin/ruff check || failed=1; \
	$(VENV)/bin/ruff format --check || failed=1; \
	$(PY) -m mypy $(PACKAGES) || failed=1; \
	exit $$failed

docs: $(DOCS) ## build the site into docs/_build/html and check its links; a warning is an error
	@rm -rf docs/reference/generated # of names that are gone, pages would stay
	@$(PY) -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@$(PY) docs/links.py docs/_build/html
	@echo "Open docs/_build/html/index.html."

links: $(DOCS) ## ask for every page of other sites that the site links to (needs a network)
	@$(PY) -m sphinx -q -b linkcheck docs docs/_build/linkcheck

bench: $(TEST) ## time the networks (Table 8), then sparse coding against SPORCO's (30 minutes)
	@$(PY) -m pytest --benchmark
	@$(PY) -m benchmarks.exact.sparse_coding --plot

fuzz: $(TEST) ## read damaged files for ten minutes
	@$(PY) -m tests.fuzz.readers --minutes 10
# Nothing is installed: the Python at hand has what is needed (benchmarks/README.md). PREPARED is the
# folder that `python -m benchmarks.gpu --prepare DIR` has written before; without it nothing is
# trained.
MINUTES ?= 10
GPU_RESULTS ?= gpu_results
gpu: ## test, measure and train on the GPU of this machine (MINUTES=10, PREPARED=DIR)
	@$(PYTHON) -m benchmarks.gpu --minutes $(MINUTES) --out $(GPU_RESULTS) $(if $(PREPARED),--prepared $(PREPARED))

# Learned from synthetic scenes; settings were chosen on scenes that no table is measured on. Those
# of depth and flash show photographs under free licences: see mcsc/dictionaries/README.md and
# make dictionaries PHOTOGRAPHS='--photographs DIR'.
LEARN := $(VENV)/bin/mcsc learn --seed 1 --passes
dictionaries: $(CORE) ## learn dictionaries for all tasks in place of those that come along (15 minutes)
	$(LEARN) 3 --task depth-sr --synthetic 40 $(PHOTOGRAPHS) --filter-size 12 --windows 120 --target-windows 240 -o mcsc/dictionaries/depth-sr.npz
	$(LEARN) 3 --task multispectral-sr --seed 3 --synthetic 40 $(PHOTOGRAPHS) --filter-size 12 --windows 120 --target-windows 1000 -o mcsc/dictionaries/multispectral-sr.npz
	$(LEARN) 2 --task flash-denoise --synthetic 40 $(PHOTOGRAPHS) --no-flips --strength 20 --windows 60 --target-windows 160 -o mcsc/dictionaries/flash-denoise.npz
	$(LEARN) 3 --task multi-exposure --synthetic 24 --windows 60 -o mcsc/dictionaries/multi-exposure.npz
	$(LEARN) 3 --task multi-focus --synthetic 24 --windows 60 -o mcsc/dictionaries/multi-focus.npz
	$(LEARN) 3 --task medical --synthetic 24 --windows 60 -o mcsc/dictionaries/medical.npz

# One thread each, so that the same weights come again on a machine of another number of cores.
TRAIN := OMP_NUM_THREADS=1 $(VENV)/bin/mcsc train --patch 128 --batch-size 2 --patches 1600 --schedule cosine
# Of photographs under free licences (their names and licences are in the cards), and of worlds that
# are rendered with them (python -m benchmarks.rendering --task depth-sr --photographs DIR --out WORLDS):
# make weights PHOTOGRAPHS='--photographs DIR' WORLDS=WORLDS. The networks of the three fusions ship
# as they are made here. What else ships was trained in stages, as its cards tell, some on earlier
# scenes: these are networks of the same kinds in one stage each, of fewer steps. Those of flash
# photographs and of bands are 0.9 dB behind the ones that ship; that of depth was never run to its end.
PHOTOGRAPHS ?=
WORLDS ?=
W := unfolded/weights_data
FAST := --precision bf16-mixed --learning-rate 3e-4
MAPS := --sweeps 2 --thresholds map $(FAST)
weights: $(TEST) ## train networks for all tasks in place of those that come along (hours)
	$(TRAIN) $(WORLDS) --task depth-sr --synthetic 160 $(PHOTOGRAPHS) $(MAPS) --loss l1 --clip-norm 0.1 --average 0.998 --epochs 19 -o $(W)/depth-sr.safetensors
	$(TRAIN) --task flash-denoise --synthetic 800 $(PHOTOGRAPHS) --levels 10 90 $(MAPS) --clip-norm 0.05 --average 0.998 --epochs 14 -o $(W)/flash-denoise.safetensors
	$(TRAIN) --task multispectral-sr --synthetic 800 $(PHOTOGRAPHS) $(MAPS) --loss l1 --clip-norm 0.1 --average 0.998 --epochs 15 -o $(W)/multispectral-sr.safetensors
	$(TRAIN) --task multi-focus --synthetic 120 $(PHOTOGRAPHS) --teacher mcsc --kernel-size 12 $(MAPS) --optimiser muon --loss l1 --clip-norm 0.05 --average 0.995 --soften 1 --seed 305 --epochs 5 -o $(W)/multi-focus.safetensors
	$(TRAIN) --task multi-exposure --synthetic 120 $(PHOTOGRAPHS) --teacher mcsc --teacher-rule activity --kernel-size 12 $(MAPS) --loss contrast --squared-from 1 --clip-norm 0.1 --average 0.997 --soften 1 --seed 301 --epochs 10 -o $(W)/multi-exposure.safetensors
	$(TRAIN) --task medical --synthetic 240 --teacher mcsc --teacher-rule activity --kernel-size 12 $(MAPS) --loss l1 --squared-from 1 --clip-norm 0.1 --average 0.997 --epochs 6 -o $(W)/medical.safetensors

clean: ## remove .venv, pictures, builds and caches
	@rm -rf $(VENV) demo_output build dist docs/_build docs/auto_gallery docs/reference/generated .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# $(call install,EXTRAS): pip is heard only when it fails.
define install
@$(PY) -m pip install --constraint constraints.txt --editable '.$(1)' >$(VENV)/pip.log 2>&1 \
	|| { cat $(VENV)/pip.log >&2; echo "pip could not install mcsc$(1); its output is above." >&2; exit 1; }
@touch $@
endef

$(MADE):
	@command -v "$(PYTHON)" >/dev/null \
		|| { echo "$(PYTHON) is not there; name a Python 3.11 or newer: make PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "mcsc needs Python 3.11 or newer, $(PYTHON) is older; name another: make PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "$(PYTHON) lacks its venv module (on Debian and Ubuntu: the package python3-venv)." >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV)
	@touch $@

$(CORE): $(MADE) pyproject.toml constraints.txt
	@echo "Setting up .venv (once) ..."
	$(call install)

# Each level waits for the one below it, so that two pips never run at a time.
$(TEST): $(CORE)
	@echo "Installing what the tests need (once) ..."
	$(call install,[test])

$(DEV): $(TEST)
	@echo "Installing ruff and mypy (once) ..."
	$(call install,[dev])

$(DOCS): $(TEST)
	@echo "Installing Sphinx (once) ..."
	$(call install,[docs])
