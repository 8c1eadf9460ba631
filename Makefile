# `make lab` to study, `make test` to check everything. Needs make, git and Python 3.11, 3.12 or 3.13.

PYTHON ?= python3
REQUIREMENTS ?= requirements.txt
# On Linux without an NVIDIA GPU torch comes from here; empty: from PyPI, with CUDA.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
LAB_ARGS ?=
NB ?=
LESSONS ?=
ROUTE ?=
THEME ?= light
ROOM_DIR ?= room
REPO =
VERSION =
CHECK ?=
CORES = $(shell $(BIN)/python -m tools.cores)

BIN := .venv/bin
PIP = $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check
STAMP := .venv/.installed
ROOM := .venv/.room
RULES := tests/test_built_here.py tests/test_claims.py tests/test_notebook_style.py
BOTH = $(if $(LESSONS),,notebooks/evidence/$(NB)*.ipynb) notebooks/$(NB)*.ipynb
FIRST = $(firstword $(wildcard notebooks/$(or $(NB),00)*.ipynb))

# These of the shell would change which Python, which modules and which kernel run.
unexport PYTHONHOME PYTHONSAFEPATH
export JUPYTER_PREFER_ENV_PATH = 1
# Without it torch cannot be imported from a folder such as 日本 in the locale C.
export PYTHONUTF8 = 1

.DEFAULT_GOAL := help
.PHONY: help lab test browser hub workshop workshop-check book colab publish doctor outputs seeds \
	models one-page clean gone

help:  # this list
	@sed -n 's/^\([a-z-]*\):[^#]*# /make \1\t/p' Makefile

# The stamp is written last: an installation that stopped half-way is taken up again. Where the
# Python of .venv no longer starts or has lost its packages (it was replaced by a newer one, or the
# folder is from another machine), all is installed anew.
ALIVE = $(shell ($(BIN)/python -c 'import pip; print("alive")') 2>&1)
$(STAMP): $(REQUIREMENTS) $(if $(wildcard $(STAMP)),$(if $(filter alive,$(ALIVE)),,gone))
	@"$(PYTHON)" -c 'import sys; sys.version_info >= (3, 11) or sys.exit("The course needs \
	Python 3.11 or later and this is %d.%d: try  make PYTHON=python3.12 lab." % sys.version_info[:2])'
	@echo "Installing the course into .venv: some 350 MB, about a minute on a good line."
	@"$(PYTHON)" -m venv .venv
	@$(BIN)/python -m tools.cpu_torch "$(REQUIREMENTS)" "$(TORCH_INDEX)"
	$(PIP) -r $(REQUIREMENTS)
	@touch $(STAMP)

# What a room, an author and `make test` need beside it; no package of the course is changed for it.
$(ROOM): requirements-room.txt $(STAMP)
	$(PIP) -r $(REQUIREMENTS) -r requirements-room.txt
	@touch $(ROOM)

gone:
	@$(BIN)/python -c 'import pip' || echo 'That was .venv/bin/python: the folder .venv is made anew.'
	rm -rf .venv

lab: $(STAMP)  # open the course in JupyterLab (NB=05: that lesson; LAB_ARGS="--no-browser")
	$(BIN)/python -m tools.lab $(FIRST) $(LAB_ARGS)

test: export OMP_NUM_THREADS = 1
test: $(ROOM)  # check everything (NB=05: one lesson and its evidence; LESSONS=1: no evidence)
	$(BIN)/python -m ruff check --quiet --no-cache .
ifeq ($(NB),)
	$(BIN)/python -m pytest -q -n $(CORES) --dist loadfile tests
	$(BIN)/python -m pytest -q -n $(CORES) --dist loadfile --nbval notebooks$(if $(LESSONS),/*.ipynb)
else
	$(BIN)/python -m pytest -q $(RULES)
	$(BIN)/python -m pytest -q --nbval $(or $(wildcard $(BOTH)),notebooks/$(NB)*.ipynb)
endif

browser: export OMP_NUM_THREADS = 1
browser: $(ROOM)  # look at the notebooks in a real browser (NB=05; THEME=dark; LESSONS=1)
	$(BIN)/python -m tools.browser $(NB) --theme $(THEME) $(if $(LESSONS),--no-evidence)

hub: $(ROOM)  # serve the course to a room of learners (ROOM_DIR=folder of their work)
	$(BIN)/python -m tools.hub "$(ROOM_DIR)"

workshop: export OMP_NUM_THREADS = 1
workshop: $(STAMP)  # write notebooks, slides and handouts for a room (ROUTE=half-day, ROUTE=07)
	$(BIN)/python -m tools.workshop $(ROUTE)

workshop-check: export OMP_NUM_THREADS = 1
workshop-check: $(ROOM)  # run and mark the students' editions, measure slides (NB=05; 20 minutes)
	$(BIN)/python -m tools.workshop.trial $(NB)

book: $(ROOM)  # write the course as a site into build/book/html (NB=05: that lesson; CHECK=1: axe)
	$(BIN)/python -m tools.book $(NB)
	$(if $(CHECK),$(BIN)/python -m tools.book.browser)

colab: export OMP_NUM_THREADS = 1
colab: $(STAMP)  # run each notebook alone, as in Colab, on Colab's packages (NB=05: that lesson)
	$(BIN)/python -m tools.colab $(NB)

publish: $(STAMP)  # write another address or version everywhere (REPO=owner/name VERSION=v1.0)
	@$(BIN)/python -m tools.publish "$(REPO)" "$(VERSION)"

doctor: $(STAMP)  # look at this machine: versions, speed, fonts, corpora, network
	$(BIN)/python -m tools.doctor

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

clean:  # remove the environment, what was built and the caches; downloaded corpora stay
	rm -rf .venv build .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
