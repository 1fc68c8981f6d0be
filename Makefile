# make demo   the whole job on sample clips        make test   all tests
# make lint   formatter, linter, types, audit      make clean  remove what these made
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test test-engine test-runs lint format bench clean

setup:
	@$(PYTHON) bootstrap.py

demo: setup
	@rm -rf demo/results
	@test -e demo/clips/sample-004.json || $(BIN)/clipfleet samples demo/clips
	@$(BIN)/clipfleet run demo/clips --out demo/results --enhance-captions \
		--captioning-algorithm mini --enhance-captions-algorithm mini

# Two at a time: the quick kinds by themselves, then those with an engine or whole runs. 5: no test
# of these kinds.
test:
	@$(PYTHON) bootstrap.py --tests
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m pytest -n 2 -m "unit or integration" $(ARGS) || [ $$? -eq 5 ]
	@$(MAKE) --no-print-directory --jobs=2 test-engine test-runs

test-engine:
	@$(BIN)/python -m pytest -m engine $(ARGS) || [ $$? -eq 5 ]

test-runs:
	@$(BIN)/python -m pytest -m "not unit and not integration and not engine" $(ARGS) \
		|| [ $$? -eq 5 ]

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python audit.py

format: setup
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup
	@$(BIN)/python -m benchmarks.end_to_end

clean:
	rm -rf .venv demo build dist
