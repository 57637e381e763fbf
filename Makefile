# `make test` and `make demo` set everything up by themselves: they need Python 3.11 or newer and a network.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
EXTRAS := test,docs,clusters,explain,structures,viewer,notebooks
# A third of the installed modules, which nothing here imports.
UNUSED := 'torch/testing|/tests/|transformers/models/[c-df-z]'
# The one version that is chosen by hand: the lock holds it, and the two other environments take another where asked to.
LOCKED_TORCH := torch==2.13.0
PYTEST := pytest -n 2 --dist worksteal

.PHONY: demo test tests quick unit lint docs lock test-newest test-lowest clean

demo: $(VENV)/.installed
	$(BIN)/bindtune demo --out demo-output

# Linters take one core: the tests begin beside them.
test: $(VENV)/.installed
	$(MAKE) -j 2 tests lint

tests: $(VENV)/.installed
	$(BIN)/$(PYTEST)

# What one runs while working.
quick: $(VENV)/.installed
	$(MAKE) -j 2 unit lint

unit: $(VENV)/.installed
	$(BIN)/$(PYTEST) -m 'not slow' tests/unit

lint: $(VENV)/.installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# Everything that is installed has its version in constraints.txt: packages, and what builds this one.
$(VENV)/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "bindtune needs Python 3.11 or newer" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt hatchling editables
	$(BIN)/pip install -q --no-compile -c constraints.txt --no-build-isolation -e '.[$(EXTRAS)]'
	-$(BIN)/python -m compileall -q -j 0 -x $(UNUSED) $(VENV)/lib src # on all cores; pip would take one
	touch $@

docs: $(VENV)/.installed
	$(BIN)/sphinx-build -E -W --keep-going -q -b html docs docs/_build/html

# The newest versions of everything, for Python 3.11 to 3.14 on any machine.
lock: .uv/bin/uv
	echo '$(LOCKED_TORCH)' | .uv/bin/uv pip compile -q --upgrade --universal --python-version 3.11 --no-annotate \
		--custom-compile-command 'make lock' --extra test --extra docs --extra clusters --extra explain --extra structures --extra viewer --extra notebooks - \
		pyproject.toml -o constraints.txt

# Unit and golden tests with the newest and with the lowest versions that pyproject.toml allows. TORCH=torch==2.13.0
# takes that version instead of the newest or the lowest.
test-newest:
	rm -rf .venv-newest && $(PYTHON) -m venv .venv-newest
	.venv-newest/bin/pip install -q --upgrade $(TORCH) -e '.[test]'
	.venv-newest/bin/pip list
	.venv-newest/bin/$(PYTEST) tests/unit tests/golden

test-lowest: .uv/bin/uv
	rm -rf .venv-lowest && $(PYTHON) -m venv .venv-lowest
	echo '$(TORCH)' | .uv/bin/uv pip compile -q --python .venv-lowest/bin/python --resolution lowest-direct \
		--no-annotate --extra test - pyproject.toml -o .venv-lowest/lowest.txt
	.venv-lowest/bin/pip install -q -c .venv-lowest/lowest.txt $(TORCH) -e '.[test]'
	.venv-lowest/bin/pip list
	.venv-lowest/bin/$(PYTEST) tests/unit tests/golden

.uv/bin/uv:
	$(PYTHON) -m venv .uv
	.uv/bin/pip install -q uv

clean:
	rm -rf $(VENV) .venv-newest .venv-lowest .uv demo-output build dist docs/_build
