# `make demo` shows what tncompile does, `make test` checks all of it, `make bench` times it.
# Each makes its own environment, from python3 alone, and installs again only when the pins change.

PYTHON ?= python3
DEMO := .venv-demo
TEST := .venv
BENCH := .venv-bench

.DELETE_ON_ERROR:
.PHONY: help demo test lint fmt bench bench-full clean

help:
	@echo "make demo    compile a network, show its source and its cost, train it on real digits"
	@echo "make test    ruff, mypy and pytest, as CI runs them"
	@echo "make lint    ruff and mypy alone"
	@echo "make fmt     put the code into canonical layout"
	@echo "make bench   a part of the benchmarks, about seven minutes: build/benchmarks.md"
	@echo "make bench-full  all of them, hours: docs/benchmarks.md"
	@echo "make clean   remove all environments and all caches"

$(DEMO)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear $(DEMO)
	$(DEMO)/bin/python -m pip install --quiet --disable-pip-version-check \
	    --constraint constraints.txt --editable '.[examples]'
	@touch $@

$(TEST)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear $(TEST)
	$(TEST)/bin/python -m pip install --quiet --disable-pip-version-check \
	    --constraint constraints.txt --editable '.[test]'
	@touch $@

$(BENCH)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check \
	    --constraint constraints.txt --editable '.[bench]'
	@touch $@

demo: $(DEMO)/.installed
	@PATH="$(CURDIR)/$(DEMO)/bin:$$PATH" sh examples/demo.sh

test: lint
	$(TEST)/bin/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --quiet

lint: $(TEST)/.installed
	$(TEST)/bin/ruff check .
	$(TEST)/bin/ruff format --check .
	$(TEST)/bin/mypy

fmt: $(TEST)/.installed
	$(TEST)/bin/ruff check --fix .
	$(TEST)/bin/ruff format .

bench: $(BENCH)/.installed
	$(BENCH)/bin/python -m benchmarks --quick --output build/benchmarks.md

bench-full: $(BENCH)/.installed
	$(BENCH)/bin/python -m benchmarks --full --output docs/benchmarks.md
	$(BENCH)/bin/python benchmarks/initialization.py --peers

clean:
	rm -rf $(DEMO) $(TEST) $(BENCH) .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
