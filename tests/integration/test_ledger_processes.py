"""Several schedulers on one ledger: nothing is oversold, nothing is lost, also when they are killed at work."""

import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from orchestrator.decision.resources import ResourceClass
from orchestrator.ledger import LaunchState, Ledger, open_ledger
from tests.support.ledger_load import AMOUNTS, HOSTS, INVENTORY, SLOTS

ROOT = Path(__file__).parents[2]
LOAD = (sys.executable, "-m", "tests.support.ledger_load")
PROCESSES = 8
REQUESTS = 200
KILLS = 40


@contextlib.contextmanager
def schedulers(url: str) -> Iterator[list[subprocess.Popen[str]]]:
    command = [*LOAD, "place", url, str(REQUESTS // PROCESSES)]
    started = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def test_eight_processes_place_two_hundred_requests_on_twenty_hosts(
    ledger_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with schedulers(ledger_url) as processes:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        started = time.monotonic()
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        results = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
        seconds = time.monotonic() - started
    placed = [request_id for result in results for request_id in result["placed"]]
    refused, lost, attempts = (sum(result[key] for result in results) for key in ("refused", "lost", "attempts"))
    with capsys.disabled():
        kind = ledger_url.partition(":")[0]
        sys.stdout.write(
            f"\n{kind}: {PROCESSES} processes, {REQUESTS} requests, {HOSTS} hosts: {seconds:.2f} s, "
            f"{REQUESTS / seconds:.0f} requests/s; {len(placed)} placed, {refused} refused, {lost} lost, "
            f"{attempts - len(placed)} conflicts\n"
        )
    assert lost == 0
    assert len(placed) == HOSTS * SLOTS, "nobody is refused as long as there is room"
    assert refused == REQUESTS - len(placed)
    ledger = open_ledger(ledger_url)
    assert sorted(record.request_id for record in ledger.launches()) == sorted(placed)
    assert_consistent(ledger)
    ledger.close()


def test_processes_killed_in_the_middle_of_transactions_leave_a_consistent_ledger(ledger_url: str) -> None:
    open_ledger(ledger_url).close()
    done = subprocess.run(
        [*LOAD, "kill", ledger_url, str(KILLS), "7"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=150
    )
    assert done.returncode == 0, done.stdout + done.stderr
    acknowledged = done.stdout.split()
    assert len(acknowledged) > KILLS
    ledger = open_ledger(ledger_url)
    assert_consistent(ledger)
    ledger.close()
    rows = {identity for (identity,) in query(ledger_url, "SELECT request_id FROM launch")}
    assert rows >= set(acknowledged)
    if ledger_url.startswith("sqlite"):
        assert query(ledger_url, "PRAGMA integrity_check") == [("ok",)]


def assert_consistent(ledger: Ledger) -> None:
    """Every live launch holds all of its amounts, every other one nothing; generations count every change."""
    view = ledger.view()
    live = ledger.launches()
    assert {record.state for record in live} <= {LaunchState.INTENT}
    per_host = Counter(record.host for record in live)
    assert view.allocated == {
        host: {key: amount * number for key, amount in AMOUNTS.items()} for host, number in per_host.items()
    }
    for host, allocated in view.allocated.items():
        for key, amount in allocated.items():
            assert amount <= INVENTORY[ResourceClass(key)].sellable, (host, key)
    events = [row for row in ledger.export(at=0.0) if row["table"] == "event"]
    kinds = Counter((row["request_id"], row["kind"]) for row in events)
    assert all(kinds[record.request_id, "decision"] == kinds[record.request_id, "intent"] == 1 for record in live)
    moves = Counter(row["host"] for row in events if row["kind"] in {"intent", "released"})
    assert {host: generation for host, generation in view.generations.items() if generation} == moves


def query(url: str, statement: str) -> list[tuple[object, ...]]:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]
    finally:
        engine.dispose()
