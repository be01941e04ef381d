# Ballast. `make up` starts everything on this machine; `make help` lists the rest.

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.ready
# A Python of your own choice: make setup PYTHON=/path/to/python3.12
PYTHON ?=
# More arguments for pytest: make test ARGS="-k outbox -x"
ARGS ?=
# What every start imports; compiled once in setup, so that no start does it again.
COMPILED := django redis dramatiq psycopg psycopg_pool pydantic ninja structlog rich pygments environ httpx granian \
	whitenoise networkx numpy scipy pytest _pytest

unexport PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME VIRTUAL_ENV
.DEFAULT_GOAL := help
.PHONY: help setup up test faults check bench shots lock clean

help: ## Say what there is to make
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-14s %s\n", $$1, $$2}'

setup: $(STAMP) ## Make .venv with everything Ballast and its tests import

$(STAMP): requirements-dev.lock
	@/bin/sh .ci/setup "$(VENV)" "$(PYTHON)" $(COMPILED)
	@touch $@

up: $(STAMP) ## Start Ballast with PostgreSQL and Redis of its own: http://127.0.0.1:8000 (PORT=…, DEMO=0)
	@exec $(PY) -m console.supervisor

test: $(STAMP) ## Run all tests but those of faults and those that need real servers or a browser
	@$(PY) -m pytest tests --ignore tests/faults --ignore tests/real --ignore tests/browser --ignore tests/bench \
		-q -n auto --dist worksteal $(ARGS)

faults: $(STAMP) ## Attack, freeze and kill a running console
	@$(PY) -m pytest tests/faults -q -n auto $(ARGS)

check: $(STAMP) ## Lint, types, direction of imports, migrations
	@$(VENV)/bin/ruff check -q .
	@$(VENV)/bin/ruff format -q --check .
	@$(VENV)/bin/mypy .
	@$(VENV)/bin/lint-imports
	@$(PY) manage.py makemigrations --check --dry-run

bench: $(STAMP) ## Measure, and print each figure beside its bar
	@$(PY) -m pytest tests/bench -q -s -p no:randomly --timeout 0 -o faulthandler_timeout=0 $(ARGS)

shots: $(STAMP) ## Take the screenshots of docs/ from a running console
	@$(PY) tests/browser/shots.py

lock: $(STAMP) ## Resolve pyproject.toml into the two lock files
	@$(VENV)/bin/uv pip compile pyproject.toml --extra embedded --generate-hashes \
		--no-emit-index-url --no-annotate --no-header -q -o requirements.lock
	@$(VENV)/bin/uv pip compile pyproject.toml --extra embedded --extra dev -c requirements.lock --generate-hashes \
		--no-emit-index-url --no-annotate --no-header -q -o requirements-dev.lock

clean: ## Remove .venv and caches; the data folder .local stays
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path './.local/*' -prune -exec rm -rf {} +
