# Each target makes .venv and installs what it needs, once.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test stress test-slow test-kill test-pacs test-viewer test-metrics test-tools mutants bench gpu zoo selftest fuzz
.PHONY: conformance sbom check docs dist release-notes clean

demo: .venv/installed
	$(BIN)/camaudit demo --folder demo

# each process loads torch: more than cores, or than a gigabyte of memory each, makes it slower
JOBS ?= 2
SUITE := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadgroup

test: .venv/dev
	$(SUITE)

# a test that needs luck or a quiet machine is red here; the busy loops end with the shell that started them
RUNS ?= 10
TESTS ?= tests
BUSY := import os; parent = os.getppid()\nwhile os.getppid() == parent: pass

stress: .venv/dev
	@loads=; trap 'kill $$loads' EXIT; trap 'exit 130' INT TERM; \
	for load in 1 2; do $(BIN)/python -c "$$(printf '$(BUSY)')" & loads="$$loads $$!"; done; \
	run=1; while [ $$run -le $(RUNS) ]; do \
		$(SUITE) -q -p no:cacheprovider $(TESTS) || { echo "stress: run $$run of $(RUNS) is red"; exit 1; }; \
		echo "stress: run $$run of $(RUNS) is green"; run=$$((run + 1)); \
	done

test-slow: .venv/dev
	$(BIN)/python -m pytest -m slow

test-kill: .venv/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m kill tests/kill

# Orthanc listens on every interface: it is started where there is only the loopback
NAMESPACE := unshare --net $(if $(filter 0,$(shell id -u)),,--map-root-user)

test-pacs: .venv/dev
	$(NAMESPACE) sh -c 'ip link set lo up && exec $(BIN)/python -m pytest -m pacs tests/pacs'

# apt-get install --no-install-recommends chromium
test-viewer: .venv/dev
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[viewer]'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m viewer tests/viewer

# beside the environment: what these bring must not decide what camaudit itself runs with
OTHERS := surface-distance opencv-python-headless scikit-learn joblib threadpoolctl narwhals connected-components-3d pandas \
	python-dateutil six git+https://github.com/Project-MONAI/MetricsReloaded

test-metrics: .venv/dev
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --target build/other-metrics $(OTHERS)
	PYTHONPATH=build/other-metrics OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -rs tests/pipeline/evidence/metrics \
		tests/pipeline/evidence/test_thresholds.py

mutants: .venv/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.mutants

bench: .venv/dev
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt --no-deps grad-cam torchcam medcam ttach
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt opencv-python-headless scikit-learn pandas
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.cams --quick --write

gpu: .venv/dev
	$(BIN)/python -c "import sys, torch; sys.exit(None if torch.cuda.is_available() else 'make gpu: no CUDA device')"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m gpu
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.gpu --write

zoo: .venv/dev
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[zoo]'
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.zoo --write

# the rates that this version comes with; a new seed each time: none is chosen for its rates
selftest: .venv/dev
	$(BIN)/python -m flows selftest -o pipeline/findings/experiments/selftest_rates.json

# the site, with its examples run and the demo's four reports as samples; nothing is fetched once the tools are there
docs: .venv/dev build/samples/made
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[docs]'
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build --fail-on-warning --keep-going --quiet --builder html docs build/site
	@echo build/site/index.html

# PDF and page for a browser of each model of the demo; made anew after a change of what makes or draws them
SAMPLED := $(shell find cam pipeline reports flows -type f ! -name '*.pyc')
DEMO := CAMAUDIT_STATE=$(CURDIR)/build/demo-state

build/samples/made: $(SAMPLED) | .venv/dev
	rm -rf build/samples build/demo build/demo-state
	$(DEMO) $(BIN)/python -m flows demo --folder build/demo --quiet
	mkdir -p build/samples/samples
	for run in build/demo/runs/*/*/; do \
		name=build/samples/samples/$$(basename $$(dirname $$run)) && \
		cp $$run/report.pdf $$name.pdf && \
		$(DEMO) $(BIN)/python -m flows report $$run --html -o $$name.html || exit; \
	done
	touch $@

fuzz: .venv/dev
	$(BIN)/python -m tests.fuzz

# veraPDF is in no package index (conda-forge has it, and https://verapdf.org an installer)
REPORT ?= report.pdf

conformance: .venv/dev
	$(BIN)/python -m tests.conformance $(REPORT)

# what other programs say of signed and rendered reports: apt-get install qpdf poppler-utils; each is skipped without
test-tools: .venv/dev
	$(BIN)/python -m pytest -m tools

SBOM ?= sbom.cdx.json

sbom: .venv/installed
	$(BIN)/python -m tests.release.sbom $(SBOM)

# a release: its notes and its files, in build/dist; VERSION is that of the tag, with or without its v
VERSION ?=

release-notes:
	@$(PYTHON) -m tests.release.notes $(VERSION)

dist: .venv/dev
	rm -rf build/dist
	$(BIN)/uv build --quiet --out-dir build/dist
	$(BIN)/python -m tests.release.dist build/dist $(VERSION)

check: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/python -m pytest -q tests/test_architecture.py

# torch first and by itself: pip finds a CPU build where the user has configured one, and what follows keeps it.
# Compiled at once: where Python may not write bytecode, a command would else compile torch and MONAI at every start.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt torch uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[all]'
	@$(BIN)/python -m compileall -qq -j 0 $(BIN)/../lib cam pipeline reports flows || true  # some files are of later Pythons
	touch $@

.venv/dev: .venv/installed
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf .venv demo build *.egg-info
