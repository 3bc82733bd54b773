# Every target makes the virtual environment it needs on its first run. 'make' or 'make help' lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# A sourced ROS 2 gets an environment of its own beside the wheels' one; see scripts/common.sh.
ROS_SOURCED := $(if $(and $(ROS_DISTRO),$(AMENT_PREFIX_PATH)),yes)
VENV ?= $(if $(ROS_SOURCED),.venv-$(ROS_DISTRO),.venv)
VENV_COSMOS3 ?= .venv-cosmos3
VENV_DOCS ?= .venv-docs
export VENV

BIN := $(VENV)/bin
ARGS ?=
# Tests that CI leaves out, and how many processes run the others.
NOT_IN_CI := not nightly
JOBS ?= 2

.PHONY: help venv demo test test-nightly test-cosmos3 coverage lint generate format bench constraints docker-steps docker clean distclean

help:  ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

venv:  ## Make the virtual environment with everything for development
	@scripts/venv.sh test
	@echo "activate it with: . $(BIN)/activate"

demo:  ## Simulated arm driven by predictions, headless; results in out/demo (ARGS="--seed 3")
	@scripts/venv.sh demo
	@$(BIN)/cosmos-ros demo $(ARGS)

test:  ## All tests of CI: parallel where they may be, then those with real processes over DDS (ARGS="-k guard")
	@scripts/venv.sh test
	@BIN=$(BIN) scripts/run_tests.sh '$(NOT_IN_CI)' $(JOBS) $(ARGS)

test-nightly:  ## The tests that run many more cases
	@scripts/venv.sh test
	@$(BIN)/python -m pytest -m nightly -p no:xdist $(ARGS)

test-cosmos3:  ## The tests that need torch and diffusers, in an environment of their own
	@VENV=$(VENV_COSMOS3) scripts/venv.sh cosmos3
	@BIN=$(VENV_COSMOS3)/bin scripts/run_tests.sh cosmos3 1 $$(grep -rl --include='test_*.py' mark.cosmos3 test) $(ARGS)

coverage:  ## Line and branch coverage of the tests that start no processes, with a floor; report in htmlcov/
	@scripts/venv.sh test
	@$(BIN)/python -m coverage erase
	@$(BIN)/python -m pytest -m '$(NOT_IN_CI) and not integration and not cosmos3' -n $(JOBS) --dist worksteal \
		--cov --cov-report=term --cov-report=html $(ARGS)

.PHONY: docs
docs:  ## The documentation as a site in site/; fails on a broken link
	@VENV=$(VENV_DOCS) scripts/venv.sh docs
	@NO_MKDOCS_2_WARNING=1 $(VENV_DOCS)/bin/mkdocs build $(ARGS)
	@echo "open site/index.html"

lint:  ## Style, types, shell, file lengths, paths that must not be named
	@scripts/venv.sh test
	@status=0; \
	$(BIN)/ruff check --quiet . || status=1; \
	$(BIN)/ruff format --check . || status=1; \
	$(BIN)/mypy || status=1; \
	$(BIN)/shellcheck --external-sources --severity=warning --exclude=SC1090 scripts/*.sh .ci/run || status=1; \
	$(BIN)/python scripts/check_tree.py || status=1; \
	exit $$status

generate:  ## Write config/*.yaml and the tables of the documentation again, from the declarations in the code
	@scripts/venv.sh test
	@$(BIN)/python scripts/generate.py

format:  ## Apply the style
	@scripts/venv.sh test
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench:  ## Measure; prints figures with the machine's description (ARGS=pipeline)
	@scripts/venv.sh test
	@$(BIN)/cosmos-ros bench $(ARGS)

constraints:  ## Resolve constraints/*.txt again (needs a package index)
	@scripts/refresh_constraints.sh $(ARGS)

docker:  ## Build the image (needs a Docker engine); ARGS="--build-arg GPU=1"
	docker build -t cosmos_ros $(ARGS) .

docker-steps:  ## Run every step of the Dockerfile without Docker, into a temporary prefix
	@scripts/image.sh rehearse

clean:  ## Remove what the targets made, but neither out/, which may hold recordings, nor the environments
	rm -rf build install log site htmlcov .coverage* .cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

distclean: clean  ## Remove the environments as well; out/ stays
	rm -rf .venv .venv-*
