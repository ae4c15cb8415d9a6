# `make demo` runs the main job, `make test` the tests; each sets up what it needs in .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-slow lint bench constraints clean

demo: $(READY)
	$(BIN)/swiftkit demo

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist load --maxschedchunk 1 --durations 10

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow -n 2 --dist load --maxschedchunk 1 --durations 10

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/check_words.py

bench: $(READY)
	$(BIN)/python benchmarks/start.py
	$(BIN)/python benchmarks/data.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/exam.py
	$(BIN)/python benchmarks/tiny.py
	$(BIN)/python benchmarks/tutorial.py

$(READY): setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "swiftkit needs Python 3.11 or 3.12; say which: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	@echo "installing (a few minutes the first time)"
	$(BIN)/pip install -q -c constraints.txt torch
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	touch $(READY)

constraints: $(READY)
	(echo '# Versions that swiftkit is tested with; `make` installs these. Regenerate: make constraints'; \
	 $(BIN)/pip freeze --exclude-editable | sed 's/+cpu//') > constraints.new
	mv constraints.new constraints.txt

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
