# PyChartAccounting: Python 3.11 or later, make and a network are enough for every target.
#
#   make run                              demo data, on http://127.0.0.1:8501
#   make run ACCOUNTING=/path/accounting  your own file, loaded once and followed from then on
#   make test, make check                 what CI runs
#   make install                          .venv/bin/pychart, and nothing else

PYTHON ?= python3
PORT ?= 8501
ACCOUNTING ?=
DEMO_JOBS ?= 200000
DEMO_YEARS ?= 5
PYTEST_ARGS ?=

VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check
PYCHART := $(VENV)/bin/pychart
RUNTIME := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
DEMO := var/demo
LOCKED := pyproject.toml constraints.txt
# Packages come with their hashes; ours needs none of them again, and no builder but the locked one.
OURS := $(PIP) install -q --no-deps --no-build-isolation -e .

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install dev run test check audit bench faults faults-mutations soak live-cell screenshots format lock clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "pychart needs Python 3.11 or later, and '$(PYTHON)' is $$($(PYTHON) -V 2>&1);" \
	       "name another one: make $(MAKECMDGOALS) PYTHON=python3.13" >&2; exit 1; }
	@echo "==> Creating the environment $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "no environment could be made; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

$(RUNTIME): $(LOCKED) | $(VENV)/bin/python
	@echo "==> Installing pychart and its packages into $(VENV) (about 600 MB, once)"
	$(PIP) install --require-hashes -r constraints.txt
	$(OURS)
	@touch $@

$(DEV): $(RUNTIME) constraints-dev.txt
	@echo "==> Installing the test tools"
	$(PIP) install --require-hashes -r constraints-dev.txt
	@touch $@

install: $(RUNTIME) ## make .venv with pychart in it

dev: $(DEV) ## the same with the test tools

$(DEMO)/pychart.toml: | $(RUNTIME)
	@echo "==> Making demo data in $(DEMO) ($(DEMO_JOBS) jobs over $(DEMO_YEARS) years, once)"
	$(PYCHART) demo --jobs $(DEMO_JOBS) --years $(DEMO_YEARS) --seed 1 --output $(DEMO)

ifeq ($(strip $(ACCOUNTING)),)
run: $(RUNTIME) $(DEMO)/pychart.toml ## load and serve demo data, or ACCOUNTING=FILE
	@echo "==> Serving the demo data on http://127.0.0.1:$(PORT) (Ctrl-C ends it)"
	$(PYCHART) --config $(DEMO)/pychart.toml up --port $(PORT)
else
run: $(RUNTIME)
	@test -r "$(ACCOUNTING)" || { echo "cannot read '$(ACCOUNTING)'" >&2; exit 1; }
	@mkdir -p var
	@echo "==> Serving $(ACCOUNTING) on http://127.0.0.1:$(PORT) (Ctrl-C ends it)"
	$(PYCHART) --database "chdb://$(CURDIR)/var/site" up --port $(PORT) "$(ACCOUNTING)"
endif

test: $(DEV) ## run the tests
	$(VENV)/bin/python -m pytest -q --numprocesses=2 --dist=worksteal $(PYTEST_ARGS)

# The systemd units, the compose file and the server's users are checked by tests/test_deploy.py.
check: $(DEV) ## formatting, lint, types, passwords, known faults of packages
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m pytest -q tests/test_deploy.py -k 'systemd or compose or dockerfile'
	$(VENV)/bin/python -m tests.supply secrets
	$(VENV)/bin/python -m tests.supply audit --where-it-answers

audit: $(DEV) ## known faults of locked packages; no answer is a failure too
	$(VENV)/bin/python -m tests.supply audit

bench: $(DEV) ## measure loading beside DuckDB and pandas, on a demo file of 1 GB
	$(VENV)/bin/python -m benchmarks.load --jobs 2900000

# As root, with strace: disks are filled, system calls fail, memory is limited.
faults: $(DEV) ## let every fault of docs/reliability.md happen, on both engines
	$(VENV)/bin/python -m tests.faults $(FAULTS_ARGS)

faults-mutations: $(DEV) ## take each protective check away: its fault must do harm
	$(VENV)/bin/python -m tests.faults --mutations $(FAULTS_ARGS)

soak: $(DEV) ## an hour of growing, rotating and killing
	$(VENV)/bin/python -m tests.faults.soak $(SOAK_ARGS)

# As root, on Debian 12; installs Grid Engine.
live-cell: $(DEV) ## 200 jobs in a real Grid Engine cell, compared with its qacct
	$(VENV)/bin/python -m tests.live_cell $(LIVE_CELL_ARGS)

screenshots: $(DEV) ## take docs/screenshots anew, with Chromium
	$(VENV)/bin/python -m tests.screenshots

format: $(DEV) ## let ruff format and fix
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

# Without installing anything: uv reads the index, for all Pythons and platforms at once.
LOCKING := uv pip compile -q --universal --fork-strategy fewest --python-version 3.11 --generate-hashes --no-annotate --no-header
lock: $(VENV)/bin/python ## renew constraints.txt and constraints-dev.txt
	rm -rf var/lock && $(PYTHON) -m venv var/lock && var/lock/bin/python -m pip install -q 'uv>=0.13,<0.14'
	printf 'hatchling\neditables\n' > var/lock/build.in
	var/lock/bin/$(LOCKING) pyproject.toml var/lock/build.in -o var/lock/run.txt
	var/lock/bin/$(LOCKING) --all-extras pyproject.toml var/lock/build.in -c var/lock/run.txt -o var/lock/dev.txt
	for lock in constraints:run constraints-dev:dev; do \
	  { sed -n '/^#/p' $${lock%%:*}.txt; cat var/lock/$${lock##*:}.txt; } > var/lock/new.txt && \
	  mv var/lock/new.txt $${lock%%:*}.txt; done
	rm -rf var/lock

clean: ## remove caches, keep .venv and var
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## remove everything that make made, loaded data included
	rm -rf $(VENV) var
