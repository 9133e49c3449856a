# Every target sets up the environment by itself if it is missing. `make help` lists them.
PYTHON ?= python3
VENV   ?= .venv
PY     := $(VENV)/bin/python
# JOBS=2  SEEDS=3 or 0,4  TASKS=citation/*_cora  METHODS=bp,dfa  PLUGINS=my_method.py  are passed on to sweeps,
# ARGS= anything else, e.g. ARGS="task.optim.lr=0.02".
JOBS ?=
SEEDS ?=
TASKS ?=
METHODS ?=
PLUGINS ?=
ARGS ?=
PIP_FLAGS ?=
NAME ?=
PROFILE ?=
SWEEP = $(NO_RUN)$(PY) -m benchmarks.sweep jobs=$(JOBS) 'tasks=$(TASKS)' 'methods=$(METHODS)' $(OWN) $(ARGS)
OWN = $(if $(PLUGINS),'plugins=[$(PLUGINS)]')
NO_RUN = $(if $(TASK)$(METHOD)$(SEED),$(error TASK, METHOD and SEED are for make bench: a sweep takes TASKS, METHODS and SEEDS))
PUBLISHED := results/published
BASELINE := $(PUBLISHED)/baselines/smoke.json
HISTORY := $(PUBLISHED)/history/smoke.jsonl
GATE := results/work/regression

.DEFAULT_GOAL := help
.PHONY: studies publish build help setup test coverage mutants lint format bench bench-all bench-methods bench-smoke bench-long bench-paper speed tables curves embeddings report compare regression baseline trend data clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/.ready  ## create .venv with the tested versions

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt -e '.[bench,dev,integrations,cluster]'
	@touch $@

test: setup  ## all tests, one process per core (JOBS=1: in this one)
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -n $(or $(JOBS),auto) --dist worksteal $(ARGS)

coverage: setup  ## tests of the engine, and how much of it they reach (97% at least)
	OMP_NUM_THREADS=1 $(PY) -m coverage run -m pytest -q tests/engine tests/tasks/test_identities.py
	$(PY) -m coverage combine -q
	$(PY) -m coverage report

mutants: setup  ## every method written wrongly, in three ways or more: does a test see it?
	$(PY) -m tests.mutants $(METHODS)

lint: setup  ## ruff, mypy, and who may import whom
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(PY) -m pytest -q --noconftest tests/test_layout.py

build: setup  ## the package of the engine, into dist/
	$(PY) -m build --no-isolation --outdir dist .

format: setup  ## rewrite the code in the project's format
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: setup  ## one run: make bench TASK=citation/gcn_cora METHOD=dfa PROFILE=paper SEED=3
	$(if $(TASKS)$(METHODS)$(SEEDS),$(error TASKS, METHODS and SEEDS are for sweeps: make bench takes TASK, METHOD and SEED))
	$(PY) -m benchmarks.run $(if $(TASK),task=$(TASK)) $(if $(METHOD),method=$(METHOD)) \
		$(if $(PROFILE),profile=$(PROFILE)) $(if $(SEED),seed=$(SEED)) $(OWN) $(ARGS)

bench-all: setup  ## every domain with bp, dfa, shallow, laptop size (profile quick; METHODS=all)
	$(SWEEP) profile=quick seeds=$(SEEDS)

bench-methods: setup  ## every method on one task of each architecture (profile quick)
	$(NO_RUN)$(PY) -m benchmarks.sweep jobs=$(JOBS) 'tasks=$(or $(TASKS),representatives)' \
		'methods=$(or $(METHODS),all)' $(OWN) $(ARGS) profile=quick seeds=$(or $(SEEDS),1)

bench-smoke: setup  ## every domain, tiny, on stand-ins, and every method on one task of each (profile smoke)
	$(SWEEP) profile=smoke seeds=$(SEEDS)
	$(if $(TASKS)$(METHODS),,$(SWEEP) profile=smoke tasks=examples methods=all seeds=1)

bench-long: setup  ## real data, what two cores can train (profile long)
	$(SWEEP) profile=long seeds=$(SEEDS)

bench-paper: setup  ## published settings (profile paper): make bench-paper TASKS=citation
	$(SWEEP) profile=paper seeds=$(SEEDS)

studies: setup  ## companion studies, a verdict for each claim (STUDY=bottleneck PROFILE=long; quick: a quarter of an hour)
	$(PY) -m benchmarks.studies $(STUDY) profile=$(or $(PROFILE),quick) jobs=$(JOBS) $(ARGS)

speed: setup  ## step times and memory of bp, dfa and others side by side (SIZE=published|laptop|both TASKS=criteo)
	$(PY) -m benchmarks.speed --size $(or $(SIZE),both) $(if $(TASKS),--tasks '$(TASKS)') $(ARGS)

tables: setup  ## rebuild all tables from the records (ARGS=--show prints them)
	$(PY) -m benchmarks.tables $(ARGS)

curves: setup  ## learning and alignment curves of the recorded runs
	$(PY) -m benchmarks.curves $(if $(TASKS),--tasks '$(TASKS)') $(ARGS)

embeddings: setup  ## hidden layers of recorded GCN runs, as t-SNE and PCA (TASKS=citation: of all networks)
	$(PY) -m benchmarks.embeddings $(if $(TASKS),--tasks '$(TASKS)') $(ARGS)

report: setup  ## one self-contained page of everything: results/report.html
	$(PY) -m benchmarks.report $(ARGS)

compare: setup  ## compare two record sets: make compare A=results B=other
	$(PY) -m benchmarks.compare $(A) $(B) $(ARGS)

# The gate judges the code as it is, so it runs in a folder of its own that holds no older records. A sweep that ends
# with 1 has failed runs: the gate names them, and its summary is written.
regression: setup  ## smoke runs of the code as it is, against the committed baseline (SEEDS=10,11,12: others than its)
	rm -rf $(GATE)
	@status=0; $(SWEEP) profile=smoke seeds=$(or $(SEEDS),3) results=$(GATE) || status=$$?; \
	[ $$status -le 1 ] || exit $$status; \
	$(PY) -m benchmarks.baseline check --results $(GATE) --out $(BASELINE) --seeds $(or $(SEEDS),3) \
		--markdown $(GATE)/summary.md || exit $$?; \
	exit $$status

baseline: setup  ## rewrite the committed baseline from fresh smoke runs, and add it to the history
	rm -rf $(GATE)
	$(SWEEP) profile=smoke seeds=$(or $(SEEDS),3) results=$(GATE)
	$(PY) -m benchmarks.baseline write --results $(GATE) --out $(BASELINE) --history $(HISTORY)

# The manifest comes first: it refuses a pack that cannot be read, before a table is rewritten without it.
publish: setup  ## the published results anew, after packing: make publish NAME=x.jsonl PROFILE=long TASKS='nerf_*'
	$(if $(NAME),$(PY) -m benchmarks.evidence pack --add --profile '$(PROFILE)' --tasks '$(or $(TASKS),*)' $(ARGS) $(PUBLISHED)/evidence/$(NAME))
	$(PY) -m benchmarks.evidence manifest
	$(PY) -m benchmarks.tables --results $(PUBLISHED) --document README.md
	$(PY) -m benchmarks.curves --results $(PUBLISHED)
	$(PY) -m benchmarks.report --results $(PUBLISHED)
	$(PY) -m benchmarks.evidence verify

trend: setup  ## how results moved over the landed baselines
	$(PY) -m benchmarks.history $(ARGS)

data: setup  ## what data there are (fetch: python -m benchmarks.data fetch cora)
	$(PY) -m benchmarks.data status

clean:  ## remove caches and unfinished work; keeps records, data and .venv
	rm -rf results/work build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage .coverage.*
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
