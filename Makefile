# Two commands do everything on a fresh machine: `make study` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: study test lint types check clean help
.DEFAULT_GOAL := help

help: ## Say what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1	\2/'

study: $(VENV)/installed ## Embedded corpus, the smoke study, and the report's path last
	$(BIN)/inattention study --preset smoke

test: check ## Lint, types, architecture, then every test
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: $(VENV)/installed-test ## Lint, types and the direction of imports, without the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/ty check src
	$(BIN)/lint-imports

$(VENV)/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/installed-test: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@ $(VENV)/installed

clean: ## Remove the environment, not the corpora or runs
	rm -rf $(VENV)
