# Everything a user or CI runs. Each target creates what it needs; nothing has to be installed first but Python and make.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url \
	--custom-compile-command "make lock"
export DAGSTER_HOME ?= $(CURDIR)

.DEFAULT_GOAL := help
.PHONY: help run ui test test-long test-slow test-browser chaos check format lock bench bench-growth \
	bench-lock bench-compare clean env install

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 16

install: $(VENV)/.installed

$(VENV)/.installed: requirements.lock requirements-bootstrap.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed; name it with make PYTHON=/path/to/python" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements-bootstrap.lock
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

run: install ## materialize the whole history of config/market.yaml and print a summary
	$(BIN)/market backfill

ui: install ## Dagster on 127.0.0.1:3000, daemon and sensors on
	$(BIN)/market ui

test: install ## the test suite, on an embedded PostgreSQL of its own; COVERAGE=1 reports coverage
	$(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder -m "not slow and not long and not browser" \
		$(if $(COVERAGE),--cov --cov-report=term)

test-long: install ## longer tests: kills, corrections, faults, blocking checks, another server, marts built again and again
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "long and not slow"

test-slow: install ## minutes-long tests: large data, a real daemon, Celery workers, benchmarks at a small size
	$(BIN)/python -m pytest -m slow

test-browser: install ## the Dagster UI in headless Chromium, screenshots into docs/images
	$(BIN)/python -m pytest -m browser

check: install ## lint, format, types, SQL, dbt, lock file
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/market dbt parse
	@eval "$$($(BIN)/market env)" && $(BIN)/sqlfluff lint --disable-progress-bar dbt
	@cp requirements.lock $(VENV)/lock.txt && $(LOCK) --extra dev pyproject.toml -o $(VENV)/lock.txt \
		&& cmp -s requirements.lock $(VENV)/lock.txt \
		|| { echo "requirements.lock is not what pyproject.toml asks for; run make lock" >&2; exit 1; }

format: install ## rewrite the code in the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	@eval "$$($(BIN)/market env)" && $(BIN)/sqlfluff fix --disable-progress-bar dbt

lock: ## resolve pyproject.toml into requirements.lock, with hashes
	$(LOCK) --extra dev pyproject.toml -o requirements.lock

bench: install ## measure, into benchmarks/results.json and the tables of README.md and docs/scaling.md
	$(BIN)/python -m benchmarks; missed=$$?; $(BIN)/python -m benchmarks.tables; exit $$missed

bench-growth: install ## the same for markets of up to 8,000 symbols and 40 years: takes half an hour and 40 GB
	$(BIN)/python -m benchmarks --only growth --only growth_wide; missed=$$?; $(BIN)/python -m benchmarks.tables; exit $$missed

bench-lock: install ## resolve the packages that benchmarks/peers compares with, with hashes
	for peer in zipline arcticdb pandas_ta plain_dagster; do $(BIN)/uv pip compile --quiet --generate-hashes \
		--python-version 3.11 --no-emit-index-url --custom-compile-command "make bench-lock" \
		benchmarks/peers/$$peer/requirements.in -o benchmarks/peers/$$peer/requirements.lock || exit 1; done

bench-compare: install ## hold benchmarks/results.json against benchmarks/baseline.json, by ratio to the floor
	$(BIN)/python -m benchmarks.compare

chaos: install ## random crashes, vendor faults and restarts against one installation
	$(BIN)/python -m chaos

env: install ## write .env with random secrets for docker compose
	$(BIN)/python -m deploy.make_env

clean: ## stop what runs and delete the state and the environment
	@test ! -x $(BIN)/market || $(BIN)/market stop
	rm -rf $(or $(MARKET_HOME),.market) $(VENV) dbt/target dbt/logs
