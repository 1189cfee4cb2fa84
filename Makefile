# `make` alone lists the targets.
NB      ?= 04_thi
DATASET ?=
PROFILE ?=
ARGS    ?=
PYTHON  ?= $(shell command -v python3.11 || command -v python3)

BIN       := .venv/bin
INSTALLED := .venv/.installed
SWEEPS    := .venv/.sweeps
SEARCH    := .venv/.search
SITE      := .venv/site/.installed
STORY     := 00_data_prep 01_rda 02_lora_sft 03_backbone 04_thi 05_failure_gallery

.DEFAULT_GOAL := help
.PHONY: help install sweeps search demo lint test notebook site clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18
	@echo "  Settings: NB DATASET PROFILE ARGS (further options, as in ARGS='-p K 3') PYTHON (now $(PYTHON))"

demo: $(INSTALLED) ## run notebooks 00 to 05 on the drawn stand-in of RSTPReid, into results/demo/rstp
	$(BIN)/icl run $(STORY) -p dataset rstp -p profile demo

lint: $(INSTALLED) ## check code and notebooks with ruff and mypy (settings: pyproject.toml)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint $(SWEEPS) $(SEARCH) ## lint, then run the unit tests and every notebook, in two processes
	$(BIN)/python -m pytest -n 2 $(ARGS)

notebook: $(INSTALLED) ## run one notebook, as in: make notebook NB=04_thi DATASET=rstp PROFILE=demo
	$(BIN)/icl run $(NB) $(if $(DATASET),-p dataset $(DATASET)) $(if $(PROFILE),-p profile $(PROFILE)) $(ARGS)

install: $(INSTALLED) ## make .venv with the locked packages and this one

# The stamp is written last, so an interrupted installation starts again and a finished one is left alone.
$(INSTALLED): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python found: install Python 3.11 or later, or say PYTHON=…"; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; \
	  sys.exit(None if sys.version_info >= (3, 11) else f"Python 3.11 or later is needed, not {v}: PYTHON=…")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

sweeps: $(SWEEPS) ## add Snakemake, which runs whole studies (params/sweeps)

$(SWEEPS): $(INSTALLED) params/sweeps/requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check -r params/sweeps/requirements.lock
	@touch $@

search: $(SEARCH) ## add gradio, for the page of `icl search`

# gradio declares an older Pillow than the kit's, whose drawings must not change; it works with this one.
$(SEARCH): $(INSTALLED) icl_lib/search/requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps -r icl_lib/search/requirements.lock
	@touch $@

site: $(INSTALLED) $(SITE) ## build the report site from the executed notebooks and stored tables: build/site/index.html
	$(BIN)/python -m icl_lib.cli.site build/site-source
	.venv/site/bin/sphinx-build -q -E -a -b html build/site-source build/site

$(SITE): notebooks/pages/requirements.lock
	test -x .venv/site/bin/python || $(PYTHON) -m venv .venv/site
	.venv/site/bin/python -m pip install --disable-pip-version-check -r notebooks/pages/requirements.lock
	@touch $@

clean: ## remove what the demo can make again (.venv, results/paper and your data stay)
	rm -rf results/demo/*/cache data/standin .snakemake .pytest_cache .hypothesis .mypy_cache .ruff_cache build dist
	rm -f results/demo/*/*.ipynb results/demo/*/*.html results/demo/*/*.log
	find . -path ./.venv -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -exec rm -rf {} +
