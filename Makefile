# make demo        the whole job on sample clips
# make test        all tests; KIND=unit|integration|engine|e2e|faults for one kind, ARGS='-k …' for pytest
# make test-quick  no engine, no S3 server, no whole stack
# make env         passwords for docker compose, into .env
# make hashes      what packages are held to, into hashes.txt, after a change of constraints.txt
# make lint        formatter, linter, types, imports, words, audit
# make clean       remove what these made
PYTHON ?= python3
BIN := .venv/bin

# vLLM reads some five thousand modules at each start: to be compiled once, not each time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup env hashes demo test test-quick lint format bench clean

setup:
	@$(PYTHON) bootstrap.py

env:
	@$(PYTHON) deploy/make_env.py

# Of every file that PyPI has of the versions in constraints.txt, whatever machine it is for.
hashes: setup
	@$(BIN)/uv pip compile --quiet --no-deps --universal --python-version 3.11 --generate-hashes \
		--no-annotate --custom-compile-command 'make hashes' constraints.txt --output-file hashes.txt

demo: setup
	@rm -rf demo/results
	@test -e demo/clips/sample-004.json || $(BIN)/clipfleet samples demo/clips
	@$(BIN)/clipfleet run demo/clips --out demo/results --enhance-captions \
		--captioning-algorithm mini --enhance-captions-algorithm mini

test:
	@$(PYTHON) bootstrap.py --tests
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m tests $(KIND:%=--kind %) $(ARGS)

test-quick: setup
	@$(BIN)/python -m tests --quick $(ARGS)

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo --cache-dir .cache/import_linter
	@$(BIN)/python -m tests.words
	@$(BIN)/python audit.py

format: setup
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup
	@$(BIN)/python -m benchmarks.end_to_end

clean:
	rm -rf .venv .cache demo build dist
