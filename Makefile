# Every target does its own set-up: Python 3.11 or later with its venv module, and make, are all it takes.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test quick test-systemd lint bench soak lock clean

# The program alone, as a user runs it.
.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# The tools of tests and checks on top.
.venv/tools: .venv/installed tests/requirements.lock
	$(BIN)/pip install --quiet --require-hashes --requirement tests/requirements.lock
	touch $@

demo: .venv/installed  ## Watch payments go from dropped files into the embedded ConnectWise
	$(BIN)/payment-watcher demo

test: .venv/tools  ## Run all tests but those of a booted systemd; the end lists what was skipped and what was slow
	$(BIN)/pytest --numprocesses=auto --dist=worksteal --durations=15

quick: .venv/tools  ## Run the quick half: every module by itself, in some 40 seconds
	$(BIN)/pytest --numprocesses=auto --dist=worksteal tests/unit

test-systemd: .venv/tools  ## Install it in a booted systemd and break it there; needs root and systemd-nspawn
	$(BIN)/pytest tests/systemd

lint: .venv/tools  ## Style, types, and which module may import which
	$(BIN)/ruff check watcher tests
	$(BIN)/ruff format --check watcher tests
	$(BIN)/mypy watcher
	$(BIN)/lint-imports

bench: .venv/tools  ## Measure what it costs, as ratios, with the targets; takes some 5 minutes
	cd tests && ../$(BIN)/python -m soak.bench

# How long it takes is extrapolated from samples, on two cores: half a second a run, 0.8 seconds with a power cut.
soak: .venv/tools  ## Strike it at system calls, cut the power, run a week, damage documents: some four hours
	cd tests && ../$(BIN)/python -m soak.killing --basic
	cd tests && ../$(BIN)/python -m soak.killing --more --every 3
	cd tests && for stroke in TERM ENOSPC EIO FULL; do \
		../$(BIN)/python -m soak.killing --stroke $$stroke --every 10 || exit 1; done
	cd tests && ../$(BIN)/python -m soak.killing --power-cut --basic
	cd tests && ../$(BIN)/python -m soak.killing --power-cut --more --every 10
	cd tests && ../$(BIN)/python -m soak.week
	PROVE_KILLS=all $(BIN)/pytest --numprocesses=auto tests/commands/test_prove_safety.py -k killed
	SOAK=300 $(BIN)/pytest --numprocesses=auto --timeout=0 tests/unit/documents \
		-k "whatever or cut_anywhere or exactly_one_result_file or any_message"

lock:  ## Upgrade every locked version
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet uv
	.venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --upgrade --generate-hashes \
		--no-header --group build pyproject.toml --output-file requirements.lock
	.venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --upgrade --generate-hashes \
		--no-header --group test --constraint requirements.lock --output-file tests/requirements.lock
	rm -r .venv-lock

clean:  ## Remove what the other targets made
	rm -rf .venv .venv-lock
