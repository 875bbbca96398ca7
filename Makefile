# Each target sets up what it needs; nothing has to be installed before but Python 3.11+ and pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# A release of the SDK that still sends `x-api-key`, in a folder of its own: tests use the proxy with it, too.
OLD_SDK := anthropic==0.70.0 distro==1.9.0
# Those that skip without a program that is large, or is the system's.
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

demo: $(READY)  ## seeds an embedded database, prints five grounded answers, a conversation through the proxy, a fault of a fleet under routing policies, and a postmortem
	$(BIN)/arcpoint demo

check: $(READY) lint  ## the minute before a commit: lint, and the tests that need no database, process or model and are short
	$(BIN)/python -m pytest -q -n 2 --dist worksteal --hypothesis-profile quick -m "not database and not process and not model and not long and not exhaustive"

test: $(READY) style  ## lint, and every test; of long rows of like cases, some
	@# Types are checked in the moments in which tests wait; what was found comes last.
	@nice $(BIN)/mypy > $(VENV)/types.log 2>&1 & types=$$!; \
	$(BIN)/python -m pytest -n 2 --dist worksteal --hypothesis-profile usual -m "not exhaustive"; tests=$$?; \
	wait $$types; types=$$?; cat $(VENV)/types.log; exit $$((tests || types))

exhaustive: $(READY)  ## every test with more examples, and every step at which a process is killed
	$(BIN)/python -m pytest -n 2 --dist worksteal

$(VENV)/litellm/.ready:
	$(PYTHON) -m venv $(VENV)/litellm
	$(VENV)/litellm/bin/pip install --quiet --disable-pip-version-check 'litellm[proxy]==1.108.7'
	touch $@

peers: $(READY) $(VENV)/litellm/.ready  ## what connects, against the real programs; installs LiteLLM beside, and Alertmanager, promtool and Redis with apt-get if they are missing
	command -v prometheus-alertmanager promtool redis-server > /dev/null \
		|| apt-get install --yes --no-install-recommends prometheus prometheus-alertmanager redis-server
	ARCPOINT_TEST_LITELLM=$(abspath $(VENV)/litellm) $(BIN)/python -m pytest $(PEER_TESTS)

coverage: $(READY)  ## every test with coverage, which takes a third longer
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
	$(VENV)/pip-tools/bin/pip-compile --quiet --generate-hashes --strip-extras --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host -c constraints.txt \
		--extra archive --extra events --extra oidc --extra tracing -o requirements.lock pyproject.toml
	# A local version names a build; which one is meant is in its hash.
	sed -i 's/^\(torch==[0-9.]*\)+cpu/\1/' requirements.lock

sbom: $(READY)  ## writes dist/arcpoint.cdx.json: what a deployment consists of, in CycloneDX
	mkdir -p dist
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --short-PURLs --output-reproducible -o dist/arcpoint.cdx.json requirements.lock

clean:
	rm -rf $(VENV) .arcpoint
