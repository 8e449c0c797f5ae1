# Every verb that people, CI and hooks use. Each sets up what it needs, once; `make help` lists them.
# PYTHON=/path/to/python3 names another Python; ARGS="-k sse" goes to the tool behind the verb.

SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PORT ?= 8000
# How many processes run the tests of `unit`; with 0 pytest runs them itself.
WORKERS ?= 2
REV ?= main
SECONDS ?= 60
GROUPS := lint type unit integration conformance clients chaos e2e client-pages deploy-test

STEP := ./scripts/python -m scripts.steps step
PREPARE := ./scripts/python -m scripts.steps prepare

# What is installed in .venv is found first. Where Python is told to keep no bytecode, as in many containers, each server
# would compile all that it imports for three seconds: it lies in a folder of its own.
TOOLS := VIRTUAL_ENV="$(CURDIR)/.venv" PATH="$(CURDIR)/.venv/bin:$$PATH" \
	PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX="$(CURDIR)/.cache/bytecode"
# Checks run without anybody's own keys and settings.
CHECK := env $(addprefix -u ,$(filter ANTHROPIC_% USECHAT_%,$(.VARIABLES))) $(TOOLS) \
	PYRIGHT_PYTHON_CACHE_DIR="$(CURDIR)/.cache/pyright" PYRIGHT_PYTHON_IGNORE_WARNINGS=1
PYTEST = $(CHECK) .venv/bin/python -m pytest -o cache_dir=.cache/pytest/$@ --junitxml=.cache/reports/$@.xml
# Types are decided by files and packages: a check that has passed says the same of the same once more.
UNCHANGED = ./scripts/python -m scripts.unchanged $(ARGS)
TYPED := --installed='.venv/lib/*/site-packages/*.dist-info' --installed=.venv/pyvenv.cfg '*.py' '*.pyi' pyproject.toml
# A file's tests share servers, so they stay together. A folder's conftest.py says with which files to begin.
BY_FILE := --dist=loadfile --no-loadscope-reorder

.PHONY: help run test $(GROUPS) fuzz fuzz-routes set-up format docs wheel conformance-app bench bench-quick bench-compare load \
	streams turns lock clean picture

help: ## List these verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

run: ## Set up, build the chat page and serve it: no key, no account (PORT=8000)
	@$(PREPARE) .venv/.base .venv/.local $(WEB) $(PAGE)
	@exec env $(TOOLS) .venv/bin/usechat serve --port $(PORT) $(ARGS)

test: ## Set up and run all of the groups below, then say how each went
	@./scripts/python -m scripts.test_groups $(NEEDS)

lint: ## Style and format: ruff
	@$(PREPARE) $(NEEDS_lint)
	@$(CHECK) ruff check
	@$(CHECK) ruff format --check

type: ## Types: pyright and mypy, strict; the page's TypeScript (ARGS=--anew looks at what has passed once more)
	@$(PREPARE) $(NEEDS_type)
	@$(CHECK) $(UNCHANGED) pyright $(TYPED) -- pyright
	@$(CHECK) $(UNCHANGED) mypy $(TYPED) -- mypy --strict --cache-dir=.cache/mypy tests/typing
	@$(CHECK) $(UNCHANGED) typescript --installed=web/node_modules/.package-lock.json web -- npm --prefix web run typecheck

unit: ## Each module by itself, with branch coverage (ARGS=--hypothesis-profile=thorough draws many more examples)
	@$(PREPARE) $(NEEDS_unit)
	@$(PYTEST) tests/unit --numprocesses=$(WORKERS) $(or $(ARGS),--cov --cov-report=term:skip-covered --cov-fail-under=88)

integration: ## The server and the models, with real programs behind them
	@$(PREPARE) $(NEEDS_integration)
	@$(PYTEST) tests/integration --numprocesses=4 $(BY_FILE) $(ARGS)

conformance: ## Frames and messages against the real AI SDK, majors 4 to 7
	@$(PREPARE) $(NEEDS_conformance)
	@$(PYTEST) tests/conformance $(ARGS)

clients: ## What the released npm clients make of our streams
	@$(PREPARE) $(NEEDS_clients)
	@$(PYTEST) tests/clients --numprocesses=2 $(BY_FILE) $(ARGS)

LONG := --conversations=200 --turns=2 --failing-seconds=60 --longest-stall=60
chaos: ## Everything fails or stalls; what becomes of each answer is counted, in ten minutes (ARGS=--seed=... has a run again)
	@$(PREPARE) $(NEEDS_chaos)
	@$(PYTEST) tests/chaos $(LONG) $(ARGS)

e2e: ## The pages in a real browser
	@$(PREPARE) $(NEEDS_e2e)
	@$(PYTEST) tests/e2e --ignore=tests/e2e/clients $(ARGS)

client-pages: ## Pages of every client in a real browser, beside the AI SDK's own servers
	@$(PREPARE) $(NEEDS_client-pages)
	@$(PYTEST) tests/e2e/clients $(ARGS)

fuzz: ## Feed all that reads bytes from outside what atheris makes up (SECONDS=60)
	@$(PREPARE) $(NEEDS_fuzz)
	@$(CHECK) .venv/bin/python -m tests.fuzz --seconds $(SECONDS)

fuzz-routes: ## Some 100,000 made-up requests for every route and the WebSocket, in a quarter of an hour
	@$(PREPARE) $(NEEDS_integration)
	@$(PYTEST) tests/integration/test_server_fuzzed.py --hypothesis-profile=long --timeout=0 $(ARGS)

deploy-test: ## Build the Vercel deployment, boot its function, stream from it
	@$(PREPARE) $(NEEDS_deploy-test)
	@./scripts/packages with-index $(PYTEST) tests/deploy --numprocesses=2 $(BY_FILE) $(ARGS)

set-up: ## Install the Python packages and test tools into .venv, and nothing else
	@$(PREPARE) .venv/.dev

format: set-up ## Let ruff rewrite the sources
	@.venv/bin/ruff check --fix
	@.venv/bin/ruff format

docs: set-up ## Build docs/ into a site, in build/docs
	@$(CHECK) ./scripts/docs build/docs

wheel: ## Build the chat page, and the package with it, in dist/
	@$(PREPARE) .venv/.dev $(WEB) $(PAGE)
	@$(CHECK) .venv/bin/python -m hatchling build --target sdist --target wheel

conformance-app: set-up ## Serve the app that the conformance tests talk to (PORT=8000)
	@.venv/bin/python -m uvicorn tests.conformance.app:app --host 127.0.0.1 --port $(PORT)

bench: ## Measure the cost of a streamed delta, against other ways to write it
	@$(PREPARE) .venv/.dev .cache/deploy-python/.made $(BENCH_PROGRAMS)
	@.venv/bin/python -m benchmarks $(ARGS)

bench-quick: ## The same with fewer repetitions, in about a minute
	@$(PREPARE) .venv/.dev $(BENCH_PROGRAMS)
	@.venv/bin/python -m benchmarks --quick $(ARGS)

bench-compare: ## Hold this checkout against another revision, sample by sample (REV=main)
	@$(PREPARE) .venv/.dev $(BENCH_PROGRAMS)
	@.venv/bin/python -m benchmarks --against $(REV) $(ARGS)

load: ## Ask one worker for twice what it can hold, and by clients as no server wants them, in three minutes
	@$(PREPARE) .venv/.dev $(BENCH_PROGRAMS)
	@.venv/bin/python -m benchmarks.load $(ARGS)

streams: ## Open ten thousand answers at once, in eight minutes (ARGS='--streams 20000 --workers 4')
	@$(PREPARE) .venv/.dev $(BENCH_PROGRAMS) $(STORES)
	@.venv/bin/python -m benchmarks.streams $(ARGS)

turns: ## Have one worker and two keep chats in PostgreSQL and Redis, in two minutes (ARGS='--against main')
	@$(PREPARE) .venv/.dev $(BENCH_PROGRAMS) $(STORES)
	@.venv/bin/python -m benchmarks.turns $(ARGS)

lock: set-up ## Write the locked requirements anew (ARGS=--upgrade takes newer versions)
	@./scripts/lock $(ARGS)

picture: set-up ## Take the pictures of the page anew (needs chromium-headless-shell and the built page)
	@.venv/bin/python -m tests.e2e.screenshot docs/images/chat.png
	@.venv/bin/python -m tests.e2e.pictures docs/images/page

clean: ## Remove all that these verbs have made
	rm -rf .venv .cache build dist web/out web/.next web/.next-start web/node_modules .hypothesis
	find tests benchmarks examples -name node_modules -prune -exec rm -rf {} +

# What has to be there before something runs. `$(PREPARE)` makes these targets, and says nothing of those that are made.

# A program by its name, and the Debian packages that bring it where it is neither on the path nor where Debian keeps
# what only root or other programs start. A fresh Chromium without a font paints boxes.
PATHS := $(PATH):/usr/sbin:/sbin:$(lastword $(wildcard /usr/lib/postgresql/*/bin))
program = $(if $(shell PATH="$(PATHS)" command -v $1),,install-$1)
DEBIAN_chromium-headless-shell := chromium-headless-shell fonts-liberation fonts-noto-color-emoji
DEBIAN_nginx := nginx-light
DEBIAN_pgbouncer := pgbouncer
DEBIAN_postgres := postgresql
DEBIAN_redis-server := redis-server
STORES := $(call program,postgres) $(call program,redis-server)

npm = $1/node_modules/.package-lock.json
WEB := $(call npm,web)
PAGE := web/out/index.html
# The conformance tests' React hooks of all majors, which other tests drive, too.
HOOKS := $(call npm,tests/conformance/js)

NEEDS_lint := .venv/.dev
NEEDS_type := .venv/.dev $(WEB)
NEEDS_unit := .venv/.dev .venv/.local
NEEDS_integration := .venv/.dev .venv/.local $(STORES) $(call program,pgbouncer) $(call program,nginx)
NEEDS_conformance := .venv/.dev $(HOOKS)
NEEDS_clients := .venv/.dev $(HOOKS) $(call npm,tests/clients) $(STORES)
NEEDS_chaos := .venv/.dev $(STORES) $(call program,nginx)
NEEDS_e2e := .venv/.dev .venv/.local $(WEB) $(PAGE) $(call npm,tests/e2e) $(call program,nginx) \
	$(call program,chromium-headless-shell)
NEEDS_client-pages := .venv/.dev $(HOOKS) $(call npm,tests/e2e) \
	$(foreach page,$(wildcard tests/e2e/clients/*/package.json),$(call npm,$(patsubst %/,%,$(dir $(page))))) \
	$(call program,chromium-headless-shell)
NEEDS_deploy-test := .venv/.dev .cache/deploy-python/.made $(call npm,tests/deploy) $(STORES)
NEEDS_fuzz := .venv/.dev .venv/.fuzz
NEEDS := $(sort $(foreach group,$(GROUPS),$(NEEDS_$(group))))

BENCH_PROGRAMS := .cache/bench/load .cache/bench/upstream

# A virtual environment whose Python is gone is made anew.
ifeq ($(wildcard .venv/bin/python),)
.PHONY: .venv/bin/uv
endif
.venv/bin/uv: requirements/bootstrap.lock
	@$(STEP) $@ "Making a virtual environment in .venv" ./scripts/packages venv

.venv/.base: .venv/bin/uv requirements/base.lock pyproject.toml
	@$(STEP) $@ "Installing Python packages" ./scripts/packages lock base

.venv/.dev: .venv/bin/uv requirements/dev.lock pyproject.toml
	@$(STEP) $@ "Installing Python packages and test tools" ./scripts/packages lock dev

.venv/.fuzz: .venv/bin/uv requirements/fuzz.lock
	@$(STEP) $@ "Installing a fuzzer" ./scripts/packages lock fuzz

.venv/.local: .venv/bin/uv requirements/local.lock pyproject.toml
	@$(STEP) --without "the demo model answers instead" $@ "Installing a small language model (130 MB)" \
		./scripts/packages lock local --only-binary=:all:

.cache/deploy-python/.made: .venv/bin/uv requirements/bootstrap.lock
	@$(STEP) $@ "Making a Python 3.12 environment for the deployment" ./scripts/packages deploy-python

%/node_modules/.package-lock.json: %/package.json %/package-lock.json
	@$(STEP) $@ "Installing npm packages in $*" ./scripts/packages npm $*

$(PAGE): $(WEB) $(shell find web -mindepth 1 \( -name node_modules -o -name '.next*' -o -name out -o -name next-env.d.ts \
		-o -name '*.tsbuildinfo' \) -prune -o -print)
	@$(STEP) $@ "Building the chat page" npm --prefix web run build:static

install-%:
	@$(STEP) $@ "Installing $*" ./scripts/packages debian $(DEBIAN_$*)

.cache/bench/%: benchmarks/native/%.c benchmarks/native/answer.h
	@mkdir -p .cache/bench
	@$(STEP) $@ "Compiling $*.c" cc -O2 -Wall -o $@ $<
