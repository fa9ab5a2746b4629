# The first of these to be called makes .venv with the locked tools; nothing else needs to be installed.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# Another pip, such as one of another year: PIP='/path/to/python -m pip --python .venv/bin/python'
PIP ?= $(BIN)/python -m pip

.DEFAULT_GOAL := help
.PHONY: help demo test test-vault test-long check bench bench-cluster image e2e lock golden clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements-dev.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "podkeys needs Python 3.11 or newer; got no $(PYTHON) on PATH. Install it, or: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "podkeys needs Python 3.11 or newer; got $$($(PYTHON) --version). Use: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) has no venv module; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Installing the locked tools into .venv (once) ..."
	@rm -rf .venv
	@$(PYTHON) -m venv .venv
	@$(PIP) --quiet --disable-pip-version-check install --no-deps --require-hashes -r requirements-dev.lock
	@$(PIP) --quiet --disable-pip-version-check install --no-deps --no-build-isolation -e .
	@$(PIP) --quiet --disable-pip-version-check check
	@touch $@

demo: $(READY) ## from a role file to a running program with its secret, certificate and identity; VAULT=/path/to/vault plays it on that server
	@$(if $(VAULT),PODKEYS_VAULT="$(abspath $(VAULT))") $(BIN)/python -m demo

test: $(READY) ## all tests, against a real OpenBao
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --cov --cov-report term:skip-covered

# The tests that start a server, on another one; those that only OpenBao can pass are skipped, each with its reason.
test-vault: $(READY) ## all tests, against the server program that VAULT=/path/to/vault names
	@test -x "$(VAULT)" || { echo "make test-vault needs VAULT=/path/to/vault, HashiCorp's program (1.21 or newer); got '$(VAULT)'"; exit 1; }
	@PODKEYS_VAULT="$(abspath $(VAULT))" $(BIN)/python -m pytest -n auto --maxprocesses 4

test-long: $(READY) ## 200,000 comparisons of the policy model with the server, anew each time
	@seed=$$(date +%s); echo "PODKEYS_SEED=$$seed"; \
	PODKEYS_SEED=$$seed PODKEYS_COMPARISONS=200000 $(BIN)/python -m pytest -n auto --maxprocesses 4 tests/policies/test_acl_differential.py

check: $(READY) ## formatting, lint, types, imports between packages
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY) ## speed and memory, as ratios within one run
	@$(BIN)/python -m bench

bench-cluster: $(READY) ## what injection adds in the cluster of KUBECONFIG, which needs the images of `make e2e`; VAULT_K8S=BINARY compares
	@VAULT_K8S="$(VAULT_K8S)" $(BIN)/python -m bench.cluster

# BASE, any image with Python 3.11 or newer and pip; ENGINE, whatever builds a Containerfile; ENGINE_FLAGS, what it needs here
BASE ?= docker.io/library/python:3.13-slim
ENGINE ?= $(firstword $(foreach name,buildah podman docker,$(if $(shell command -v $(name)),$(name))))
IMAGE ?= podkeys:latest
# so that the same source on the same base is the same digest; docker has no such flag
SAME_TIME = $(if $(filter %docker,$(ENGINE)),,--timestamp 0)
image: $(READY) ## one image for webhook and agent
	@test -n "$(ENGINE)" || { echo "make image needs buildah, podman or docker; got none of them on PATH"; exit 1; }
	@rm -rf dist && SOURCE_DATE_EPOCH=0 $(BIN)/python -m hatchling build -t wheel
	$(ENGINE) build $(SAME_TIME) $(ENGINE_FLAGS) --build-arg BASE=$(BASE) -f deploy/Containerfile -t $(IMAGE) .

LOAD ?=
e2e: $(READY) ## on the cluster of KUBECONFIG; LOAD='kind load image-archive' or another command that loads an OCI archive
	@test -n "$$KUBECONFIG" || { echo "make e2e needs KUBECONFIG, of a cluster to try things in"; exit 1; }
	@test -n "$(LOAD)" || { echo "make e2e needs LOAD, the command that loads an image archive into the nodes"; exit 1; }
	@ENGINE="$(ENGINE)" ENGINE_FLAGS="$(ENGINE_FLAGS)" BASE="$(BASE)" tests/e2e/images $(LOAD)
	@$(BIN)/python -m pytest -p no:cacheprovider --durations=10 tests/e2e

golden: $(READY) ## rewrite the expected files; read the diff
	@PODKEYS_GOLDEN=rewrite $(BIN)/python -m pytest -q tests -k golden

# Extras stay visible: an installer that resolves at all takes `coverage[toml]` for something else than a pinned `coverage`.
UPGRADE ?= --upgrade
COMPILE = $(BIN)/uv pip compile --quiet --universal --no-strip-extras --generate-hashes --no-emit-index-url --no-emit-find-links --no-header
lock: $(READY) ## renew requirements*.lock; UPGRADE= keeps each version that still fits
	$(COMPILE) $(UPGRADE) pyproject.toml -o requirements.lock
	$(COMPILE) --group image -c requirements.lock -o requirements-image.lock
	$(COMPILE) --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean: ## remove what was built here
	rm -rf .venv .coverage* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
