# `make run` and `make test` are all that a newcomer needs: Python 3.11 or newer, make, and nothing else.

PYTHON ?= python3
ARGS ?=
VENV = .venv/bin/python
# Without a word from the user any newer Python will do when python3 is an old one.
CANDIDATES = $(PYTHON) $(if $(filter file,$(origin PYTHON)),python3.13 python3.12 python3.11)
# ensurepip is what Debian leaves out of its Python unless python3-venv is installed.
SUITABLE = import sys; sys.version_info >= (3, 11) or sys.exit(1); import ensurepip, venv
INSTALL = @for python in $(CANDIDATES); do \
		if "$$python" -c '$(SUITABLE)' 2>/dev/null; then exec "$$python" local/venv.py $(1); fi; \
	done; \
	echo "HotelMate needs Python 3.11 or newer with its venv module, and $(PYTHON) is not: install one" \
		"(for example: apt install python3 python3-venv), or name it: make $@ PYTHON=/path/to/python3.12" >&2; exit 1

# What serves a hotel; and what bandit finds there that ruff finds too, where each line says why it may be so.
SERVED = board common hotel hotelmate housekeeping local notifications operations room_bookings rooms manage.py
SEEN_BY_RUFF = B108,B608,B611

# What each kind of work installs: the application, what one machine needs, tests and tools, checks, maintenance.
LOCAL = requirements.txt requirements/local.txt
TEST = $(LOCAL) requirements/test.txt
CHECK = $(TEST) requirements/check.txt
MAINTENANCE = $(CHECK) requirements/maintenance.txt

.PHONY: help run reset test test-browser screenshots check audit lock permissions contract bench drill-events soak fuzz mutants clean

help:
	@echo "make run           start HotelMate with demo data on http://127.0.0.1:8000 (or PORT=8001), until Ctrl-C"
	@echo "make reset         make the demo anew, for today (what was done in it is lost)"
	@echo "make test          run the tests (with ARGS='-k cancel' some of them)"
	@echo "make test-browser  run the tests that drive a browser: chromium, or the one that HOTELMATE_CHROMIUM names"
	@echo "make check         linters, bandit, types, layers, secrets, Django's deployment checks, migrations, API schema"
	@echo "make audit         ask the advisory databases about every package that is pinned (needs the internet)"
	@echo "make lock          pin the packages again, from requirements/*.in (ARGS=--upgrade for newer versions)"
	@echo "make permissions   write docs/permissions.md anew, from what the server answers"
	@echo "make contract      play the existing staff app against a HotelMate of its own, row by row of the API's contract"
	@echo "make bench         measure what HotelMate costs, against the least possible (15 to 30 minutes; ARGS='--quick')"
	@echo "make drill-events  kill what delivers live events, and see that none is lost (about 5 minutes; ARGS='--quick')"
	@echo "make soak          live real stays in five hotels amid faults, and compare all (3 minutes; ARGS='--minutes 20 --seed 7')"
	@echo "make fuzz          send the API and the Pusher server what nobody would (5 minutes; ARGS='--minutes 10 --seed N')"
	@echo "make mutants       remove each lock, rule and check, one at a time, and see a test turn red (half an hour; ARGS='--only NAME')"
	@echo "make screenshots   make the pictures in docs/screenshots anew"
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
	@echo "Looking for secrets: a finding that is none goes into the baseline with detect-secrets scan --baseline .secrets.baseline"
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
