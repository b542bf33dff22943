# Needs python3 (3.11 to 3.13), make and a package registry. Everything goes into .venv.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
# uv does not read pip's configuration: it is given the registry and the certificates that pip uses.
UV = UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1 \
     UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$$($(BIN)/pip config get global.index-url 2>/dev/null || \
     echo $${PIP_INDEX_URL:-https://pypi.org/simple})}" $(BIN)/uv --quiet

.PHONY: demo demo-graph demo-loop test unit integration lint type format bench constraints clean

demo: $(VENV)/.installed
	@GRAFT_INSTALL_SECONDS=$$(cat $(VENV)/.seconds 2>/dev/null); export GRAFT_INSTALL_SECONDS; \
	rm -f $(VENV)/.seconds; $(BIN)/graft demo

demo-graph: $(VENV)/.installed
	@$(BIN)/graft demo --graph

demo-loop: $(VENV)/.installed
	@$(BIN)/graft demo --loop

test: lint type unit integration

unit: $(VENV)/.installed
	$(PYTEST) tests/unit_tests --disable-socket --allow-hosts=127.0.0.1 --allow-unix-socket

integration: $(VENV)/.installed
	$(PYTEST) tests/integration_tests --junit-xml=$(VENV)/integration.xml

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

type: $(VENV)/.installed
	$(BIN)/mypy

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed
	$(UV) pip install -c constraints.txt --python $(BIN)/python --group bench
	@for script in $(filter-out benchmarks/report.py,$(wildcard benchmarks/*.py)); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

constraints: $(BIN)/uv
	$(UV) pip compile --universal --python-version 3.11 --all-extras --group test --group lint --group bench \
	    --no-annotate --no-header --upgrade pyproject.toml -o constraints.txt

clean:
	rm -rf $(VENV) demo-kb demo-kb-graph demo-kb-loop

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	    echo "This needs Python 3.11 to 3.13; $(PYTHON) is $$($(PYTHON) --version 2>&1)."; \
	    echo "Name another one: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	    echo "$(PYTHON) can not make a virtual environment: its venv or pip is missing."; \
	    echo "Install them: apt install python3-venv python3-pip (Debian, Ubuntu), or"; \
	    echo "dnf install python3-pip (Fedora); then run make again."; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/uv
	@echo "Installing into $(VENV) ..."; started=$$(date +%s); \
	$(UV) pip install -c constraints.txt --python $(BIN)/python -e '.[all]' \
	    --group test --group lint && \
	echo $$(( $$(date +%s) - started )) > $(VENV)/.seconds && touch $@
