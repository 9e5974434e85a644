# One command per chore. Every target installs what it needs first; that is instant when nothing changed.
.POSIX:
SHELL = /bin/sh
# What is compiled is kept: each test process would compile the tests and libraries again, for ten seconds.
export PYTHONDONTWRITEBYTECODE =

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN = .venv/bin
STAMP = .venv/.installed
RUNTIME = .venv/.runtime

.PHONY: help install docs reference screenshots demo run test test-long test-wheel test-deep test-browser bench bench-quick bench-limits bench-admin chaos fuzz check format \
	migrate migration lock audit clean wheel

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 16

PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes

UV = $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes
HAS_PYTHON = test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it with PYTHON=…" >&2; exit 1; }

install: $(STAMP) ## Make .venv with everything that development needs, from the lock

# uv takes a third of pip's time. pip is asked where uv does not find the registry. All is compiled at once: each
# process of the tests would compile it again.
$(STAMP): requirements.lock requirements-dev.lock requirements-uv.lock
	@$(HAS_PYTHON)
	$(PYTHON) -m venv .venv
	$(PIP) -r requirements-uv.lock
	$(UV) -r requirements-dev.lock || $(PIP) -r requirements-dev.lock
	$(BIN)/python -m compileall -q -j 0 app tests examples benchmarks tools
	@touch $(RUNTIME) $(STAMP)

# What runs the service, and no more: `make demo` and `make run` need nothing else.
$(RUNTIME): requirements.lock
	@$(HAS_PYTHON)
	$(PYTHON) -m venv .venv
	$(PIP) -r requirements.lock
	@touch $(RUNTIME)

demo: $(RUNTIME) ## Start a server, send it simulated events, show the records
	$(BIN)/python -m app demo

run: $(RUNTIME) ## Serve on port 8000, with a .env that the first run writes
	$(BIN)/python -m app run

docs: install ## Build the documentation site into site/; a broken link fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

screenshots: install ## Take the pictures of the documentation with a headless Chromium
	DOCS_IMAGES=docs/images $(BIN)/python -m pytest -n 0 -m browser tests/browser/test_admin.py -k pictures

reference: install ## Write the reference pages of the documentation from the code
	$(BIN)/python -m tools.reference

test: install ## The whole suite, on SQLite and PostgreSQL
	$(BIN)/python -m pytest

test-long: install ## What takes longer: more kills and histories, the wheel, old releases beside new ones
	$(BIN)/python -m pytest -n 3 -m 'long and not deep'

test-wheel: install ## Build the wheel and use it from an empty folder, in environments of its own
	$(BIN)/python -m pytest -m long tests/packaging

test-deep: install ## Thousands of histories, and the property tests with other random examples; two hours
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-20} $(BIN)/python -m pytest -m 'hypothesis or fuzz or deep' --hypothesis-profile long

bench: install ## What the webhook carries beside its baselines; half an hour, 20 GB of disk
	$(BIN)/python -m benchmarks.webhooks

bench-quick: install ## The same in under two minutes, rates only; fails when one is below half its goal
	$(BIN)/python -m benchmarks.webhooks --quick --check
test-browser: install ## The admin screen in a headless Chromium, installed first where apt-get may
	@command -v chromium >/dev/null || test -n "$$CHROMIUM" || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
		&& apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } \
		|| echo "No Chromium, and it cannot be installed here: the tests are skipped. Name one with CHROMIUM=…" >&2
	$(BIN)/python -m pytest -n 0 -m browser tests/browser

bench-limits: install ## What a check and a consume cost, and how soon another process obeys
	$(BIN)/python -m benchmarks.limits
	$(BIN)/python -m benchmarks.staleness

bench-admin: install ## How long the admin screen's pages take with 5,000,000 events (needs 10 GB of disk)
	$(BIN)/python -m benchmarks.admin

chaos: install ## Kill the server 100 times on each database, and at chosen points; floods, faults of database, disk and clock, a locked record, 10,000 events at once
	$(BIN)/python -m tests.faults.kill 100
	$(BIN)/python -m pytest -n 0 -m chaos -s tests/faults

fuzz: install ## Requests by the thousand from the OpenAPI description, on both databases
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-300} $(BIN)/python -m pytest -n 2 -m '' tests/hostile/openapi/test_openapi.py

check: install ## Format, lint, types, layers, migrations
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.check_migrations

format: install ## Format the code and fix what ruff can fix
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

wheel: install ## Build the package into dist/
	$(BIN)/python -m hatchling build -t wheel

migrate: $(RUNTIME) ## Apply the migrations that the database of DATABASE_URL lacks
	$(BIN)/python -m app migrate

migration: install ## Write a migration from the models: make migration m="what it does"
	$(BIN)/alembic revision --autogenerate -m "$(m)"

lock: install ## Compile the locks from pyproject.toml, with the newest versions
	$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --all-extras pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -c requirements.lock --all-extras pyproject.toml --group dev -o requirements-dev.lock
	awk '/^uv==/ { found = 1 } found { print } found && !/\\$$/ { exit }' requirements-dev.lock > requirements-uv.lock
	$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group clients -o requirements-clients.lock

audit: install ## Look the locked versions up in the vulnerability database; says so where there is no network
	-$(BIN)/pip-audit --require-hashes --disable-pip -r requirements.lock

clean: ## Remove what the targets made, but not var/ and .env
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
