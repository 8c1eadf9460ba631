# `make lab` to study, `make test` to check everything. Needs make, git and Python 3.11, 3.12 or 3.13.

PYTHON ?= python3
REQUIREMENTS ?= requirements.txt
LAB_ARGS ?=
NB ?=
LESSONS ?=
CORES = $(shell $(BIN)/python -m tools.cores)

BIN := .venv/bin
STAMP := .venv/.installed
RULES := tests/test_built_here.py tests/test_claims.py tests/test_notebook_style.py
BOTH = $(if $(LESSONS),,notebooks/evidence/$(NB)*.ipynb) notebooks/$(NB)*.ipynb
FIRST = $(firstword $(wildcard notebooks/$(or $(NB),00)*.ipynb))

.DEFAULT_GOAL := help
.PHONY: help lab test outputs seeds models one-page clean

help:  # this list
	@sed -n 's/^\([a-z-]*\):[^#]*# /make \1\t/p' Makefile

# The stamp is written last: an installation that stopped half-way is taken up again.
$(STAMP): $(REQUIREMENTS)
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("The course needs \
	Python 3.11 or later and this is %d.%d: try  make PYTHON=python3.12 lab." % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $(REQUIREMENTS)
	@touch $(STAMP)

lab: $(STAMP)  # open the course in JupyterLab (NB=05: that lesson; LAB_ARGS="--no-browser")
	$(BIN)/jupyter lab --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/$(FIRST) $(LAB_ARGS)

test: export OMP_NUM_THREADS = 1
test: $(STAMP)  # check everything (NB=05: one lesson and its evidence; LESSONS=1: no evidence)
	$(BIN)/ruff check --quiet .
ifeq ($(NB),)
	$(BIN)/python -m pytest -q -n $(CORES) --dist loadfile tests
	$(BIN)/python -m pytest -q -n $(CORES) --dist loadfile --nbval notebooks$(if $(LESSONS),/*.ipynb)
else
	$(BIN)/python -m pytest -q $(RULES)
	$(BIN)/python -m pytest -q --nbval $(or $(wildcard $(BOTH)),notebooks/$(NB)*.ipynb)
endif

outputs: export OMP_NUM_THREADS = 1
outputs: $(STAMP)  # run the lessons and write their outputs into the files (NB=05: that one)
	$(BIN)/python -m tools.outputs $(NB)
	$(BIN)/python -m tools.claims_index

seeds: export OMP_NUM_THREADS = 1
seeds: $(STAMP)  # run the lessons with other seeds and list the claims that break (NB=05)
	$(BIN)/python -m tools.seeds $(NB)

models: export OMP_NUM_THREADS = 1
models: $(STAMP)  # train the models that later lessons load (NB=04; TARGET=fr)
	$(BIN)/python -m tools.models "$(NB)" $(TARGET)

one-page: $(STAMP)  # write notebooks/transformer_in_one_page.py from the parts in utils
	$(BIN)/python -m tools.one_page

clean:  # remove the environment and the caches; downloaded corpora stay
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
