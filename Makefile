# Afterglow. Needs only Python 3.11 or later; everything else is installed into .venv and node_modules at first use.

PYTHON ?= python3
python := .venv/bin/python
pip := $(python) -m pip --disable-pip-version-check --no-input install --quiet --require-hashes --no-deps --only-binary :all:
# $(call or_say,what to do next): ends a command line; says it, and fails, when the command failed.
or_say = || { printf '\nmake %s stopped. %s\n' '$@' $(1) >&2; exit 1; }
# $(call resolve,lock,what it holds): writes a lock with hashes and without addresses.
resolve = .venv/bin/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	$(if $(UPGRADE),--upgrade) $(2) -o $(1) >/dev/null $(call or_say,'The lines above name the requirement that cannot be met.')

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
# The compose stack. Where neither a file .env nor the environment names a mail server it is a demo, with data and secrets of its own.
DEMO ?= $(if $(wildcard .env)$(FOLLOWUP_SMTP_HOST),,1)
secrets = deploy/$(if $(DEMO),demo/)secrets
# What names the stack to `docker compose`. A demo keeps the clock of the last day that was played on it, and writes its messages as
# their folder's owner: whoever runs it, or for root a user without rights.
stack = AFTERGLOW_SECRETS=./$(secrets) $(if $(DEMO),COMPOSE_FILE=docker-compose.yml:deploy/compose.demo.yml \
	AFTERGLOW_DEMO_USER=$$(ls -nd deploy/demo/messages 2>/dev/null | awk '{ print $$3 ":" $$4 }') \
	AFTERGLOW_CLOCK="$$(cat deploy/demo/clock 2>/dev/null)")
compose = $(stack) docker compose

# Where the one process listens, if not on 8000 and 9000.
ports = $(if $(PORT),--port $(PORT)) $(if $(OPS_PORT),--ops-port $(OPS_PORT))

# The paths in ARGS that are not there: pytest with workers says only that no tests ran. It ends with 5 where it finds none, which is
# fine for one of the two runs of `make test` when ARGS names files of the other.
paths = $(filter tests/% %.py,$(filter-out -%,$(foreach word,$(ARGS),$(firstword $(subst ::, ,$(word))))))
missing = $(strip $(foreach path,$(paths),$(if $(wildcard $(path)),,$(path))))
missing_is_said = [ -z '$(missing)' ] $(call or_say,'There is no $(missing) here.')

.PHONY: help setup demo run secrets images up down logs test test-fast test-compose faults bench check format api-docs kafka-files lock clean fuzz

help: ## list the targets
	@awk -F ' ## ' '/^[a-z-]+:.* ## / { split($$1, name, ":"); printf "  make %-12s %s\n", name[1], $$2 }' $(MAKEFILE_LIST)

setup: .venv/.dev-ready node_modules/.ready ## install all that running, testing and checking need (the other targets do it by themselves)

demo: DEMO = 1
demo: .venv/.ready ## one clinic day; ONCE=1 leaves at its end, FAILPOINT=all (or a name) kills on the way; PORT= OPS_PORT=; KAFKA=1 on what `make up` started, KILL=postgres
	@$(if $(KAFKA),$(stack)) $(python) -m services demo $(if $(KAFKA),--kafka) $(if $(ONCE),--once) \
		$(if $(FAILPOINT),--failpoint $(FAILPOINT)) $(if $(KILL),--kill $(KILL)) $(if $(KAFKA),,$(ports)) \
		$(call or_say,'The lines above name the broken promise or the missing part.$(if $(KAFKA), What a part says about it: make logs)')

run: .venv/.ready ## all three services in one process, with your own settings (README, For operators); PORT= OPS_PORT= where 8000 and 9000 are taken
	@$(python) -m services $(ports) $(call or_say,'The lines above name the setting or the part. To look around without settings: make demo')

secrets: .venv/.ready ## make what is missing of the compose stack's secrets, one file each; settings are opened to the containers' users
	@chmod -R a+rX deploy/gateway deploy/kafka deploy/prometheus $(call or_say,'These files must be yours: containers read them as users of their own.')
	@$(python) -m services secrets --containers --folder $(secrets) $(call or_say,'The folder must be writable.')

images: ## build the images: three services, and the operator's commands; each holds a list of what is in it (sbom.cdx.json)
	@docker compose build --quiet $(call or_say,'Docker must run (docker info) and the package index be in reach once.')

up: secrets images ## start everything with Docker; without a .env as a demo; AFTERGLOW_REPLICAS=2 runs two of each service
	@$(if $(DEMO),mkdir -p -m 700 deploy/demo/messages; [ "$$(id -u)" != 0 ] || chown -R 10001:10001 deploy/demo/messages; echo 'No .env names a mail server: this is a DEMO and not for patients.')
	@$(compose) up --detach --wait --wait-timeout 300 --quiet-pull || { \
		$(compose) logs --no-log-prefix 2>/dev/null | grep '^Refused' | sort -u >&2; false; } \
		$(call or_say,'What a part says about it: make logs')
	@echo "Running on https://$$($(compose) port gateway 8443); callers trust $(secrets)/gateway-ca.crt"

down: ## stop what `make up` started; its data stays
	@$(compose) down --remove-orphans $(call or_say,'The lines above name what could not be stopped.')

logs: ## what the parts of the stack say, as they say it; ARGS="followup" for one of them
	@$(compose) logs --follow --tail 200 $(ARGS)

test: setup ## the everyday tests, then those on a real Kafka (skipped where there is no Docker); ARGS="..." go to pytest
	@$(missing_is_said)
	@$(python) -m pytest -n 2 --dist loadfile -m 'not kafka and not compose and not faults and not fuzz' $(ARGS) \
		|| { none=$$?; $(if $(ARGS),[ $$none = 5 ],false); } $(call or_say,'To see one failure alone: .venv/bin/pytest -x --lf'); \
	$(python) -m pytest -m kafka $(ARGS) $(if $(ARGS),|| [ $$?$$none = 5 ]) \
		$(call or_say,'To see one failure alone: .venv/bin/pytest -x --lf -m kafka   (needs Docker: docker info)')

short_compose = $(addprefix tests/deploy/,test_images.py test_journey.py test_principals.py \
	test_stack.py::test_the_key_to_a_patients_page_is_in_no_log)
test-compose: setup ## the whole stack of docker-compose.yml under test (half an hour, needs Docker); SHORT=1: images, a clinic day, who may do what
	@$(python) -m pytest $(if $(SHORT),-m 'compose and not long' $(short_compose),-m compose) $(ARGS) \
		$(call or_say,'To see one failure alone: .venv/bin/pytest -x --lf -m compose   (needs Docker: docker info)')

fuzz: setup ## try to break every operation by its own description (schemathesis, 300 examples each); SHORT=1: 20 each
	@FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-$(if $(SHORT),20,300)} $(python) -m pytest -n 2 -m fuzz $(ARGS) tests/fuzz \
		$(call or_say,'Each failure above is shown as a curl command. To see one service alone: make fuzz ARGS="-k followup"')

faults: setup ## kill, freeze and cut off services, Kafka and PostgreSQL under load, and count afterwards (half an hour, needs Docker); SHORT=1: six minutes
	@$(python) -m pytest -v --no-header $(if $(SHORT),-m 'not long') $(ARGS) tests/faults \
		$(call or_say,'To see one scenario alone: .venv/bin/pytest -x --lf tests/faults   (needs Docker: docker info)')

exhaustive: setup ## walk follow-up through every order of one happening more than the everyday tests, over the pure functions (ten minutes)
	@AFTERGLOW_EXHAUSTIVE=1 $(python) -m pytest -n 2 $(ARGS) tests/followup/plans/every_order \
		$(call or_say,'Each violation above names the way that led there, pauses included.')

bench: setup ## the figures of docs/performance.md, each beside its floor, and build/bench.json (six minutes, needs Docker); SHORT=1: a look; GROWTH=1: with a million tasks; FLOOD=1: others' delay beside ten thousand events of one patient
	@$(if $(FLOOD),AFTERGLOW_FLOOD=10000 $(python) -m pytest -q -k delay tests/followup/test_flood.py,$(python) -m tests.benchmarks $(if $(SHORT),--short) $(if $(GROWTH),--growth) $(ARGS)) \
		$(call or_say,'The lines above name the part that failed. It needs Docker: docker info')

test-fast: setup ## the tests that need neither Docker nor a browser and are not slow
	@$(missing_is_said)
	@$(python) -m pytest -n 2 --dist loadfile -m 'not kafka and not compose and not faults and not fuzz and not browser and not slow' $(ARGS) \
		$(call or_say,'To see one failure alone: .venv/bin/pytest -x --lf')

check: .venv/.dev-ready ## lint, format, types and import contracts
	@.venv/bin/ruff check $(call or_say,'Many findings mend themselves: make format')
	@.venv/bin/ruff format --check $(call or_say,'To format: make format')
	@.venv/bin/mypy $(call or_say,'The lines above name file and line.')
	@.venv/bin/lint-imports --no-logo $(call or_say,'What each contract is for stands beside it in pyproject.toml.')

format: .venv/.dev-ready ## format the code and mend what the linter can mend
	@.venv/bin/ruff check --fix-only --quiet
	@.venv/bin/ruff format

api-docs: .venv/.ready ## write docs/api anew from the code
	@$(python) -m services api-documents $(call or_say,'The lines above name the route or event that cannot be described.')

kafka-files: .venv/.ready ## write deploy/kafka/acls.txt and topics.txt anew from the code
	@$(python) -m services kafka-acls >deploy/kafka/acls.txt $(call or_say,'The lines above name the service that cannot be read.')
	@$(python) -m services kafka-topics >deploy/kafka/topics.txt $(call or_say,'The lines above name the event that cannot be read.')

lock: .venv/.dev-ready ## resolve pyproject.toml into the locks: images, embedded, developing; UPGRADE=1 takes newer versions
	@$(call resolve,requirements.lock,)
	@$(call resolve,requirements-embedded.lock,--extra embedded -c requirements.lock)
	@$(call resolve,requirements-dev.lock,--extra embedded --group dev -c requirements-embedded.lock)
	@echo 'The locks are written. To install them: make setup'

clean: ## remove what can be made again: the virtual environment, node_modules, caches
	@rm -rf .venv node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
	@find services shared tests -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@command -v $(PYTHON) >/dev/null \
		$(call or_say,'There is no $(PYTHON) here. Install Python 3.11 or later; or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12')
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		$(call or_say,"Afterglow needs Python 3.11 or later and $(PYTHON) is $$($(PYTHON) -V 2>/dev/null || echo none that runs). Name another: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12")
	@echo 'Setting up: a virtual environment in .venv'
	@$(PYTHON) -m venv .venv \
		$(call or_say,'This Python cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv')

# A stamp is newer than its lock when what the lock names is installed.
.venv/.ready: requirements-embedded.lock | .venv/bin/python
	@echo 'Setting up: the packages of requirements-embedded.lock (about a minute)'
	@$(pip) -r requirements-embedded.lock $(call or_say,'The package index must be in reach once. Then run it again: what is installed stays.')
	@touch $@

.venv/.dev-ready: requirements-dev.lock .venv/.ready
	@echo 'Setting up: the packages of requirements-dev.lock (about a minute)'
	@$(pip) -r requirements-dev.lock $(call or_say,'The package index must be in reach once. Then run it again: what is installed stays.')
	@touch $@

node_modules/.ready: package-lock.json .venv/.dev-ready
	@echo 'Setting up: the npm packages of package-lock.json'
	@PATH="$(CURDIR)/.venv/bin:$$PATH" npm ci --ignore-scripts --no-audit --no-fund --silent \
		$(call or_say,'The npm registry must be in reach once. Then run it again.')
	@touch $@
