# `make test` and `make demo` set everything up by themselves: they need Python 3.11 or newer and a network.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
# A third of the installed modules, which nothing here imports.
UNUSED := 'torch/testing|/tests/|transformers/models/[c-df-z]'

.PHONY: demo test lint tests docs clean

demo: $(VENV)/.installed
	$(BIN)/bindtune demo --out demo-output

# Linters take one core: the tests begin beside them.
test: $(VENV)/.installed
	$(MAKE) -j 2 tests lint

tests: $(VENV)/.installed
	$(BIN)/pytest -n 2 --dist worksteal

lint: $(VENV)/.installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "bindtune needs Python 3.11 or newer" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --no-compile -c constraints.txt -e '.[test,docs,clusters]'
	-$(BIN)/python -m compileall -q -j 0 -x $(UNUSED) $(VENV)/lib src # on all cores; pip would take one
	touch $@

docs: $(VENV)/.installed
	$(BIN)/sphinx-build -E -W --keep-going -q -b html docs docs/_build/html

clean:
	rm -rf $(VENV) demo-output build dist docs/_build
