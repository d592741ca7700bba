# make demo: creates the environment, installs rosgeo, runs it on a real scene.
# make test: creates the environment with the test tools, runs linters and tests.
# make docs: creates the environment with the documentation's tools, builds site/ (to be opened from the disk), runs the notebooks.
#
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test docs lint format clean

demo: $(VENV)/.installed
	$(BIN)/rosgeo demo

test: $(VENV)/.installed-test lint
	$(BIN)/python -m pytest

# docs/check_browser.py looks at the result in Chromium.
docs: $(VENV)/.installed-docs
	ROSGEO_DOCS_EXECUTE=1 NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo "open site/index.html"

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("rosgeo needs Python 3.11 or later, found " + sys.version.split()[0] + ". Name another: make PYTHON=python3.11 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

# torch first and by its exact version, so that no dependency chooses another build.
$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install --quiet --constraint constraints.txt torch
	$(PIP) install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[test]'
	# The published HQ decoder, to compare with. Without what it depends on: torchvision has no build for a CPU's torch.
	$(PIP) install --quiet --constraint constraints.txt --no-deps segment-anything-hq
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) build site *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis rosgeo-demo
