# Each target sets up what it needs; nothing has to be installed before but Python 3.11+ and pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# A release of the SDK that still sends `x-api-key`, in a folder of its own: tests use the proxy with it, too.
OLD_SDK := anthropic==0.70.0 distro==1.9.0
# Programs of Debian that connect, and the packages that have them.
PROGRAMS := prometheus-alertmanager promtool redis-server
PROGRAM_PACKAGES := prometheus-alertmanager prometheus redis-server
# An index that does not answer holds up nobody for long.
PATIENCE := -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 -o Acquire::Retries=1
# Those that skip without such a program.
PEER_TESTS := tests/api/ingest/test_connect.py tests/api/proxy/test_brokers.py tests/api/http/routes/test_metrics.py
# With it each process would compile every module again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo check test exhaustive coverage lint style types peers mutants bench eval lock sbom clean
.DEFAULT_GOAL := demo

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(VENV)/old-sdk $(OLD_SDK)
	$(BIN)/python -m memory.embedding.onnx_export
	touch $@

demo: $(READY)  ## posts a week of example data to a new database, prints five grounded answers, a conversation through the proxy, a fault of a fleet under routing policies, and a postmortem
	$(BIN)/arcpoint demo

check: $(READY) lint  ## the minute before a commit: lint, and the tests that need no database, process or model and are short
	$(BIN)/python -m pytest -q -n 2 --dist worksteal --hypothesis-profile quick -m "not database and not process and not model and not long and not exhaustive"

test: $(READY) style peers-installed  ## lint, and every test; of long rows of like cases, some
	@# Types are checked in the moments in which tests wait; what was found comes last. By one process: workers
	@# of its own would have to answer in time.
	@nice $(BIN)/mypy --num-workers 0 > $(VENV)/types.log 2>&1 & types=$$!; \
	$(BIN)/python -m pytest -n 2 --dist worksteal --hypothesis-profile usual -m "not exhaustive"; tests=$$?; \
	wait $$types; types=$$?; cat $(VENV)/types.log; exit $$((tests || types))

exhaustive: $(READY) peers-installed  ## every test with more examples, and every step at which a process is killed
	$(BIN)/python -m pytest -n 2 --dist worksteal

# What connects, for tests against the real programs. What cannot be installed is named, and its tests are skipped.
$(VENV)/litellm/.ready: tests/support/litellm.txt | $(READY)
	@rm -rf $(@D) && { $(PYTHON) -m venv --without-pip $(@D) \
		&& $(BIN)/pip --python $(@D)/bin/python install --quiet --disable-pip-version-check --retries 1 --timeout 20 --no-deps --no-compile -r $<; } > $(VENV)/litellm.log 2>&1 && touch $@ \
		|| echo "make: LiteLLM cannot be installed, its test is skipped ($(VENV)/litellm.log)" >&2

.PHONY: peers-installed
peers-installed: export DEBIAN_FRONTEND := noninteractive
peers-installed: $(VENV)/litellm/.ready
	@missing=$$(for each in $(PROGRAMS); do command -v $$each > /dev/null || echo $$each; done); test -z "$$missing" \
		|| { timeout 60 apt-get $(PATIENCE) update; timeout 180 apt-get $(PATIENCE) install --yes --no-install-recommends -o DPkg::Lock::Timeout=60 $(PROGRAM_PACKAGES); } \
			> $(VENV)/apt-get.log 2>&1 \
		|| echo "make: apt-get cannot install these, their tests are skipped ($(VENV)/apt-get.log):" $$missing >&2

peers: peers-installed  ## what connects, against the real programs
	$(BIN)/python -m pytest $(PEER_TESTS)

coverage: $(READY) peers-installed  ## every test with coverage, which takes a third longer
	$(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term

lint: $(READY) style types  ## style, spelling, direction of imports, types

style: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/lint-imports

types: $(READY)
	$(BIN)/mypy

mutants: $(READY)  ## breaks each law on purpose, in a copy, and sees a test fail; ONLY=text for some of them, JOBS=n at once
	$(BIN)/python -m tests.mutants --only "$(ONLY)" --jobs $(or $(JOBS),1)

bench: $(READY)  ## start of commands, build time, CPU per context, packing, recall, the service under load, ingestion; QUICK=1, ONLY=start|contexts|packing|recall|http|proxy|decode|ingest, BENCH_REQUESTS=n, BENCH_INCIDENTS=n, BENCH_SOAK_S=s, BENCH_SOAK_RATE=n, BENCH_WORKERS=n, BENCH_LITELLM=venv
	QUICK=$(QUICK) ONLY=$(ONLY) $(BIN)/python -m tests.bench

SEED ?= 1

eval: $(READY)  ## how questions are understood; prompts against faults of known truth, beside raw rows; recall; SEED=n draws others
	$(BIN)/python -m tests.evaluation --seed $(SEED)

lock:  ## writes requirements.lock: what a deployment installs, every file by its hash
	$(PYTHON) -m venv $(VENV)/pip-tools
	$(VENV)/pip-tools/bin/pip install --quiet --disable-pip-version-check pip-tools==7.6.2
	$(VENV)/pip-tools/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host -c constraints.txt \
		--extra archive --extra events --extra oidc --extra tracing -o requirements.lock pyproject.toml
	# A local version names a build; which one is meant is in its hash.
	sed -i 's/^\(torch==[0-9.]*\)+cpu/\1/' requirements.lock

sbom: $(READY)  ## writes dist/arcpoint.cdx.json: what a deployment consists of, in CycloneDX
	mkdir -p dist
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --short-PURLs --output-reproducible -o dist/arcpoint.cdx.json requirements.lock

clean:
	rm -rf $(VENV) .arcpoint
