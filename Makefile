# Every target works from a fresh clone: the first one that needs an environment makes .venv.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# The first interpreter that is new enough. (Having the name on PATH is not enough: it must run.)
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

# The newest interpreter, by its name or from pyenv: the newest JAX is not for the oldest Python.
NEWEST ?= $(shell for v in 3.14 3.13 3.12; do for p in python$$v "$$(pyenv prefix $$v 2>/dev/null)/bin/python"; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && echo $$p && exit; done; done)
# What runs there and on the oldest: the mechanisms, training, and the command line.
MECHANISMS := $(addprefix tests/test_,laws.py linear.py methods.py associative.py fused.py hopper.py training.py noise.py unroll.py cli.py)

# More flags for the program behind a target: make demo ARGS="--cell gru", make test ARGS="-k scan -x".
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-all test-newest test-oldest test-nightly test-devices test-peers test-aot dist lint format types docs bench notebooks figures clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

venv: $(STAMP)  ## make .venv with everything below installed

# The stamp is written last: an installation that was interrupted is taken up again.
$(STAMP): pyproject.toml
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "rnn_jax needs Python 3.11 or newer, found: $$($(or $(PYTHON),python3) -V 2>&1 | head -1)." >&2; \
		echo "Name one with: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) -V); the first time takes a minute or two."
	@$(PYTHON) -m venv $(VENV) || { \
		echo "$(PYTHON) cannot make environments (Debian and Ubuntu: install python3-venv)." >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(STAMP)  ## train a character model on a text that every Python carries, about two minutes
	$(BIN)/python -m rnn_jax train $(ARGS)

test: $(STAMP)  ## the tests, on two cores
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

test-all: $(STAMP)  ## all tests, the slow ones too; then the laws on the code that users run
	$(BIN)/python -m pytest -n 2 --dist worksteal -m '' $(ARGS)
	XLA_FLAGS= $(BIN)/python -m pytest -n 2 --dist worksteal tests/test_laws.py $(ARGS)

test-newest:  ## the mechanisms on the newest Python and JAX that there are, four minutes
	@[ -n "$(NEWEST)" ] || { echo "There is no Python 3.12 or newer here, which the newest JAX" \
		"needs. Name one with: make NEWEST=/path/to/python3.13 test-newest" >&2; exit 1; }
	@$(NEWEST) -m venv .venv-newest
	@.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check \
		--upgrade --upgrade-strategy eager -e '.[test]'
	.venv-newest/bin/python -m pytest -n 2 --dist worksteal $(MECHANISMS) $(ARGS)

test-oldest:  ## the same on the oldest version of each dependency that pyproject.toml allows
	@$(PYTHON) -m venv .venv-oldest
	@.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check uv
	@.venv-oldest/bin/uv pip install --quiet --python .venv-oldest/bin/python \
		--resolution lowest-direct -e '.[test]'
	.venv-oldest/bin/python -m pytest -n 2 --dist worksteal $(MECHANISMS) $(ARGS)

test-nightly: NIGHTLY := https://us-python.pkg.dev/ml-oss-artifacts-published/jax-public-nightly-artifacts-registry/simple/
test-nightly:  ## the same on the JAX of last night, which JAX's own index has
	@$(NEWEST) -m venv .venv-nightly
	@.venv-nightly/bin/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@.venv-nightly/bin/python -m pip install --quiet --disable-pip-version-check \
		--upgrade --pre --extra-index-url $(NIGHTLY) jax jaxlib
	.venv-nightly/bin/python -m pytest -n 2 --dist worksteal $(MECHANISMS) $(ARGS)

test-devices: $(STAMP)  ## the laws beside eight virtual devices, and all that is split over devices
	JAX_NUM_CPU_DEVICES=8 $(BIN)/python -m pytest -n 2 --dist worksteal \
		$(addprefix tests/test_,sharding.py laws.py bptt.py padding.py) -m '' $(ARGS)

test-peers: $(STAMP)  ## the same numbers from PyTorch, Flax, Haiku, Keras, Equinox and ONNX, and their pages; installs them
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[peers]'
	$(BIN)/python -m pytest tests/peers tests/test_interop.py -m '' $(ARGS)

test-aot:  ## programs for a GPU and a TPU, compiled on this CPU; installs 1.2 GB of compilers
	@$(PYTHON) -m venv .venv-aot
	@.venv-aot/bin/python -m pip install --quiet --disable-pip-version-check -e '.[test,aot]'
	.venv-aot/bin/python -m pytest tests/test_accelerators.py tests/test_fused.py tests/test_hopper.py -m '' $(ARGS)

dist:  ## wheel and sdist in dist/, checked; the wheel alone then trains a model in a new environment
	@$(PYTHON) -m tests.release $(if $(TAG),'$(TAG)')
	@$(PYTHON) -m venv .venv-dist
	@.venv-dist/bin/python -m pip install --quiet --disable-pip-version-check \
		'build==1.*' 'twine==7.*'
	@rm -rf dist
	.venv-dist/bin/python -m build
	.venv-dist/bin/python -m twine check --strict dist/*
	.venv-dist/bin/python -m tests.dist dist

lint: $(STAMP)  ## style, by ruff; and the workflows, by actionlint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/actionlint

format: $(STAMP)  ## rewrite the code into that style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(STAMP)  ## types, by mypy
	$(BIN)/mypy

docs: $(STAMP)  ## the site, in build/site/html: pages, notebooks, every public name; a minute, and two where the pictures of cells are drawn anew
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	$(BIN)/python -m website $(ARGS)

bench: $(STAMP)  ## time and memory beside the peers that are installed; make bench ARGS=--quick: 3 minutes
	$(BIN)/python -m benchmarks $(ARGS)

notebooks: $(STAMP)  ## run the notebooks at full size, keeping their outputs
	$(BIN)/jupyter execute --inplace notebooks/*.ipynb

figures: $(STAMP)  ## draw the pictures of the README again
	$(BIN)/python docs/figures.py $(ARGS)

clean:  ## remove .venv and every cache; runs/ is yours and stays
	rm -rf $(VENV) .venv-*/ build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
