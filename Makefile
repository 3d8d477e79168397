VENV := .venv
BIN := $(VENV)/bin
DEV := $(VENV)/.dev-installed

.PHONY: up down test lint bench bench-collector bench-sinks bench-place bench-backup bench-paging soak soak-launch

up: ## install what is missing, start the local stack, run one backup
	@deploy/local/bootstrap.sh
	@$(BIN)/vdbmon stack up

down: ## stop all that `make up` started, and nothing else
	@if [ -x $(BIN)/vdbmon ]; then $(BIN)/vdbmon stack down; else echo "nothing runs: no $(VENV)"; fi

$(DEV): pyproject.toml constraints.txt
	@deploy/local/bootstrap.sh --lint

lint: $(DEV)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# Four at once, each file in one piece, in the order of tests/conftest.py: most tests wait for servers.
test:
	@deploy/local/bootstrap.sh --test
	@$(BIN)/pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder

bench: $(DEV)
	@$(BIN)/python -m tests.bench

bench-collector: $(DEV) ## the agent with 5, 50 and 200 containers, about 15 minutes
	@deploy/local/bootstrap.sh --test
	@$(BIN)/python -m tests.bench.collector

bench-sinks: $(DEV) ## every push output with the points of 50 containers, and a backlog of an hour; 3 minutes
	@deploy/local/bootstrap.sh --test
	@$(BIN)/python -m tests.bench.sinks

bench-place: $(DEV) ## decisions, plans, hosts used, and the command with 100 hosts; a minute
	@$(BIN)/python -m tests.bench.place

bench-backup: $(DEV) ## backups in containers and on the host, limits, the source's pace; MB=2048 PAIRS=10: half an hour
	@deploy/local/bootstrap.sh --test
	@$(BIN)/python -m tests.bench.backup

bench-paging: $(DEV) ## from an OOM kill, a hung daemon, a failed backup to the page, as delivered; 4 minutes
	@deploy/local/bootstrap.sh --test
	@$(BIN)/python -m tests.bench.paging

soak-launch: $(DEV) ## launches, removals and reconciles killed before and after every call, three times; 15 minutes
	@deploy/local/bootstrap.sh --test
	@FAILPOINT_ROUNDS=3 $(BIN)/pytest --numprocesses 2 tests/integration/test_launch_failpoints.py

soak: $(DEV) ## the agent under churn of real containers; MINUTES=240
	@$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),240)
