# Every verb that people, CI and hooks use. Each sets up what it needs, once; `make help` lists them.
# PYTHON=/path/to/python3 names another Python; ARGS="-k sse" goes to the tool behind the verb.

SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PORT ?= 8000
REV ?= main
IN_PYTHON := ./scripts/python -m
SET_UP := $(IN_PYTHON) scripts.set_up

.PHONY: help run test lint type unit integration conformance clients chaos e2e deploy-test \
	set-up format conformance-app bench bench-quick bench-compare lock clean picture

help: ## List these verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

run: ## Set up, build the chat page and serve it: no key, no account (PORT=8000)
	@$(IN_PYTHON) scripts.run --port $(PORT) $(ARGS)

test: ## Set up and run all of the groups below, then say how each went
	@$(IN_PYTHON) scripts.test_groups

lint: ## Style and format: ruff
	@$(IN_PYTHON) scripts.test_groups lint

type: ## Types: pyright, strict; the page's TypeScript
	@$(IN_PYTHON) scripts.test_groups type

unit: ## Each module by itself, with branch coverage (ARGS=--hypothesis-profile=thorough draws many more examples)
	@$(IN_PYTHON) scripts.test_groups unit $(ARGS)

integration: ## The server and the models, with real programs behind them
	@$(IN_PYTHON) scripts.test_groups integration $(ARGS)

conformance: ## Frames and messages against the real AI SDK, majors 4 to 7
	@$(IN_PYTHON) scripts.test_groups conformance $(ARGS)

clients: ## What the released npm clients make of our streams
	@$(IN_PYTHON) scripts.test_groups clients $(ARGS)

chaos: ## Everything fails at once; what becomes of each answer is counted, in two minutes (ARGS=--seed=... has a run again)
	@$(IN_PYTHON) scripts.test_groups chaos --conversations=200 --turns=2 --failing-seconds=60 $(ARGS)

e2e: ## The pages in a real browser
	@$(IN_PYTHON) scripts.test_groups e2e $(ARGS)

deploy-test: ## Build the Vercel deployment, boot its function, stream from it
	@$(IN_PYTHON) scripts.test_groups deploy-test $(ARGS)

set-up: ## Install the Python packages and test tools into .venv, and nothing else
	@$(SET_UP)

format: set-up ## Let ruff rewrite the sources
	@.venv/bin/ruff check --fix
	@.venv/bin/ruff format

conformance-app: set-up ## Serve the app that the conformance tests talk to (PORT=8000)
	@.venv/bin/python -m uvicorn tests.conformance.app:app --host 127.0.0.1 --port $(PORT)

bench: set-up ## Measure the cost of a streamed delta, against other ways to write it
	@.venv/bin/python -m benchmarks $(ARGS)

bench-quick: set-up ## The same with fewer repetitions, in about a minute
	@.venv/bin/python -m benchmarks --quick $(ARGS)

bench-compare: set-up ## Hold this checkout against another revision, sample by sample (REV=main)
	@.venv/bin/python -m benchmarks --against $(REV) $(ARGS)

lock: set-up ## Write the locked requirements anew (ARGS=--upgrade takes newer versions)
	@./scripts/lock $(ARGS)

picture: set-up ## Take the README's picture anew (needs chromium-headless-shell and the built page)
	@.venv/bin/python -m tests.e2e.screenshot docs/images/chat.png

clean: ## Remove all that these verbs have made
	rm -rf .venv .cache build dist web/out web/.next web/.next-start web/node_modules .hypothesis
	find tests benchmarks examples -name node_modules -prune -exec rm -rf {} +
