# To get started: `make run` and `make test`. They need only make and Python 3.11 or newer.

PYTHON ?= python3
ARGS ?=
VENV = .venv/bin/python
# If python3 is too old, use any newer Python, unless the user has set PYTHON.
CANDIDATES = $(PYTHON) $(if $(filter file,$(origin PYTHON)),python3.13 python3.12 python3.11)
# Debian's Python has no ensurepip unless python3-venv is installed.
SUITABLE = import sys; sys.version_info >= (3, 11) or sys.exit(1); import ensurepip, venv
INSTALL = @for python in $(CANDIDATES); do \
		if "$$python" -c '$(SUITABLE)' 2>/dev/null; then exec "$$python" local/venv.py $(1); fi; \
	done; \
	echo "HotelMate needs Python 3.11 or newer with the venv module, which $(PYTHON) does not provide: install it" \
		"(for example: apt install python3 python3-venv), or name another: make $@ PYTHON=/path/to/python3.12" >&2; exit 1

# The production code, and bandit's rules that ruff checks too, where each exception in the code states its reason.
SERVED = board common hotel hotelmate housekeeping local notifications operations room_bookings rooms manage.py
SEEN_BY_RUFF = B108,B608,B611

# What each kind of target installs: to run on one machine, for tests and tools, for checks, for maintenance.
LOCAL = requirements.txt requirements/local.txt
TEST = $(LOCAL) requirements/test.txt
CHECK = $(TEST) requirements/check.txt
MAINTENANCE = $(CHECK) requirements/maintenance.txt
CLUSTER = $(TEST) requirements/cluster.txt

.PHONY: help run reset test test-pooled test-browser screenshots check audit lock permissions contract bench drill-events drill-cluster soak fuzz mutants clean

help:
	@echo "make run           start HotelMate with demo data on http://127.0.0.1:8000 (or PORT=8001), until Ctrl-C"
	@echo "make reset         load a fresh demo for today (all changes to the demo are lost)"
	@echo "make test          run the tests (some of them: ARGS='-k cancel')"
	@echo "make test-pooled   run the tests behind PgBouncer in transaction mode (needs Debian's package pgbouncer)"
	@echo "make test-browser  run the browser tests, in Chromium (or the browser set in HOTELMATE_CHROMIUM)"
	@echo "make check         linters, bandit, types, layers, secrets, Django's deployment checks, migrations, API schema"
	@echo "make audit         look up known vulnerabilities of every pinned package (needs the internet)"
	@echo "make lock          pin all packages again from requirements/*.in (newer versions: ARGS=--upgrade)"
	@echo "make permissions   regenerate docs/permissions.md from the server's responses"
	@echo "make contract      replay the existing staff app's API calls and check every response"
	@echo "make bench         measure performance against the theoretical minimum (15 to 30 minutes; ARGS='--quick')"
	@echo "make drill-events  kill the parts that deliver live events, and check that none is lost (5 minutes; ARGS='--quick')"
	@echo "make drill-cluster fail over a PostgreSQL cluster under HotelMate (8 minutes; needs root and Debian's packages; ARGS='--full')"
	@echo "make soak          soak test with fault injection: real stays in five hotels (3 minutes; ARGS='--minutes 20 --seed 7')"
	@echo "make fuzz          fuzz the API and the Pusher server (5 minutes; ARGS='--minutes 10 --seed N')"
	@echo "make mutants       mutation tests: remove each lock, rule and check; a test must fail (half an hour; ARGS='--only NAME')"
	@echo "make screenshots   regenerate the pictures in docs/screenshots"
	@echo "make clean         stop everything, remove .venv, node_modules and the data folder .data"

run:
	$(call INSTALL,$(LOCAL))
	@exec $(VENV) -m local run

reset:
	$(call INSTALL,$(LOCAL))
	@exec $(VENV) -m local reset

test:
	$(call INSTALL,$(TEST))
	@exec $(VENV) -m pytest -n auto --dist worksteal $(ARGS)

test-pooled:
	$(call INSTALL,$(TEST))
	@exec $(VENV) -m pytest -p tests.pooled -n auto --dist worksteal $(ARGS)

test-browser:
	$(call INSTALL,$(CHECK))
	@exec $(VENV) -m pytest -n auto tests/browser $(ARGS)

screenshots:
	$(call INSTALL,$(CHECK))
	@exec $(VENV) -m pytest -n 0 tests/browser/screenshots.py

check:
	$(call INSTALL,$(CHECK))
	$(VENV) -m ruff check .
	$(VENV) -m ruff format --check .
	$(VENV) -m local exec -- mypy
	.venv/bin/lint-imports
	$(VENV) -m bandit --quiet --recursive --severity-level medium --skip $(SEEN_BY_RUFF) $(SERVED)
	@echo "Looking for secrets; to accept a false positive, run: detect-secrets scan --baseline .secrets.baseline"
	.venv/bin/detect-secrets-hook --baseline .secrets.baseline $$(git ls-files) || test $$? = 3 # 3: only line numbers moved
	env -u DEVELOPMENT ALLOWED_HOSTS=hotel.example \
		$(VENV) -m local exec -- manage.py check --deploy --fail-level WARNING --database default
	$(VENV) -m local exec -- manage.py makemigrations --check --dry-run
	$(VENV) -m local exec -- $(VENV) -m tools.release.lint_migrations
	$(VENV) -m local exec -- manage.py spectacular --validate --fail-on-warn --file /dev/null

audit:
	$(call INSTALL,$(MAINTENANCE))
	@exec $(VENV) -m tools.release.audit

lock:
	$(call INSTALL,$(MAINTENANCE))
	@exec $(VENV) -m tools.release.lock $(ARGS)

permissions:
	$(call INSTALL,$(TEST))
	@exec $(VENV) -m pytest -n 0 -q tests/security/renew.py

contract:
	$(call INSTALL,$(TEST))
	@exec $(VENV) -m tools.conformance $(ARGS)

bench:
	$(call INSTALL,$(TEST))
	@exec $(VENV) -m tools.bench $(ARGS)

drill-events:
	$(call INSTALL,$(TEST))
	@exec $(VENV) -m tools.drill_events $(ARGS)

drill-cluster:
	$(call INSTALL,$(CLUSTER))
	@exec $(VENV) -m tools.drill_cluster $(ARGS)

soak:
	$(call INSTALL,$(TEST))
	@exec $(VENV) -m tools.soak $(ARGS)

fuzz:
	$(call INSTALL,$(CHECK))
	@exec $(VENV) -m tools.fuzz $(ARGS)

mutants:
	$(call INSTALL,$(TEST))
	@exec $(VENV) -m tools.mutants $(ARGS)

clean:
	@if [ -x $(VENV) ]; then $(VENV) -m local clean; else $(PYTHON) -m local clean; fi
	@echo "Removing .venv and node_modules"
	@rm -rf .venv node_modules
