# Two commands do everything on a fresh machine: `make study` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Tests of one room: make test ROOM=attention
ROOM ?=
# Rooms that `make quick` leaves out: their tests train models, or trace their graphs.
LONG := integration pretraining conversion fuzz export runtime
TESTS := $(if $(ROOM),tests/$(ROOM) src/inattention/$(ROOM),)
# A file's tests run in one process, in order, so that what they share is made once.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
# Tests start many processes; where nothing compiled is kept, each would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: study test quick check docs clean help
.DEFAULT_GOAL := help

help: ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1	\2/'

study: $(VENV)/installed ## Prepare the embedded corpus, run the smoke study, print the path of its report
	$(BIN)/inattention study --preset smoke

test: check ## Run `check`, then every test; ROOM=attention: the tests of one room
	$(PYTEST) --ignore=tests/architecture $(TESTS)

quick: $(VENV)/installed-test ## Run the tests that neither train nor take seconds each
	$(PYTEST) -q -m "not slow" $(LONG:%=--ignore=tests/%) --ignore=tests/architecture $(or $(TESTS),tests)

check: $(VENV)/installed-test ## Lint, types, direction of imports, dead code, sizes; no tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/ty check src runtime/src
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(BIN)/python -m pytest -q tests/architecture

docs: $(VENV)/installed-docs ## Build the documentation site into site/, strictly
	$(BIN)/mkdocs build --strict

$(VENV)/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/installed-test: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@ $(VENV)/installed

$(VENV)/installed-docs: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@ $(VENV)/installed

clean: ## Remove the environment, but no corpora or runs
	rm -rf $(VENV)
