"""Addresses of pools in SQLite and in PostgreSQL: one launch, one address, also when several schedulers want one."""

import json
import subprocess
import sys
from collections import Counter
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from collector.errors import ConfigError, VdbmonError
from orchestrator.ledger import LaunchState, Ledger, LedgerError
from orchestrator.placement.fixed_addresses import FixedAddresses
from orchestrator.settings import PoolSettings
from tests.support.ledger import allocate, record

ROOT = Path(__file__).parents[2]
POOL = PoolSettings(name="net", range=IPv4Network("10.20.0.0/29"), gateway=IPv4Address("10.20.0.1"), quarantine=60.0)
PROCESSES, LAUNCHES = 4, 20
ADDRESSES = 61


class Clock:
    """Seconds that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(ledger: Ledger, clock: Clock) -> FixedAddresses:
    for number in range(1, 8):
        allocate(ledger, record(f"b{number}", f"r{number}", host=f"db{number}", source=f"s{number}"))
    return FixedAddresses(ledger, {POOL.name: POOL}, clock)


def test_a_launch_has_one_address_however_often_it_asks(book: FixedAddresses, ledger: Ledger) -> None:
    first = book.take("r1", "db1", "net")
    assert (first.ip, first.host, first.pool) == ("10.20.0.2", "db1", "net")
    before = ledger.view().pool_generations
    assert book.take("r1", "db1", "net") == first
    assert ledger.view().pool_generations == before == {"net": 1}
    assert book.take("r2", "db2", "net").ip == "10.20.0.3"
    assert [item.ip for item in book.taken()] == ["10.20.0.2", "10.20.0.3"]
    (event,) = [event for event in ledger.events("r2") if event.kind == "address"]
    assert event.detail == {"pool": "net", "ip": "10.20.0.3"}


def test_a_full_pool_is_a_refusal_until_an_address_has_rested(
    book: FixedAddresses, ledger: Ledger, clock: Clock
) -> None:
    for number in range(1, 6):
        book.take(f"r{number}", f"db{number}", "net")
    with pytest.raises(VdbmonError, match=r"is full: 5 of 5 are held") as caught:
        book.take("r6", "db6", "net")
    assert caught.value.code == "pool.full"
    book.give_back("r3")
    book.give_back("r3")
    with pytest.raises(VdbmonError, match=r"is full: 4 of 5 are held, 1 rest 60 s"):
        book.take("r6", "db6", "net")
    clock.now += 60.0
    assert book.take("r6", "db6", "net").ip == "10.20.0.4"
    assert len(ledger.view().holdings["net"]) == 5


def test_removing_a_launch_gives_its_address_back_and_a_removed_one_gets_none(
    book: FixedAddresses, ledger: Ledger
) -> None:
    book.take("r1", "db1", "net")
    ledger.advance("r1", LaunchState.DONE, at=2.0)
    assert len(book.taken()) == 1, "its container is there still"
    ledger.advance("r1", LaunchState.REMOVED, at=3.0)
    assert book.taken() == ()
    assert "address.released" in [event.kind for event in ledger.events("r1")]
    with pytest.raises(LedgerError) as caught:
        book.take("r1", "db1", "net")
    assert caught.value.code == "launch.removed"


def test_a_pool_that_nobody_described_is_refused(book: FixedAddresses) -> None:
    with pytest.raises(ConfigError, match="no pool 'other'"):
        book.take("r1", "db1", "other")


def test_addresses_are_in_the_export(book: FixedAddresses, ledger: Ledger) -> None:
    book.take("r1", "db1", "net")
    book.give_back("r1")
    (row,) = [row for row in ledger.export(at=5.0) if row["table"] == "address"]
    assert row == {
        "table": "address",
        "pool": "net",
        "ip": "10.20.0.2",
        "request_id": "r1",
        "host": "db1",
        "taken_at": 1000.0,
        "released_at": 1000.0,
    }


def test_four_processes_never_get_the_same_address(ledger_url: str) -> None:
    command = [sys.executable, "-m", "tests.support.address_load", ledger_url, str(LAUNCHES)]
    started = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        results = [json.loads(process.communicate(timeout=120)[0]) for process in started]
    finally:
        for process in started:
            process.kill()
            process.communicate()
    taken = Counter(ip for result in results for ip in result["taken"])
    assert max(taken.values()) == 1, "those that were given back rest"
    assert len(taken) == ADDRESSES
    assert sum(result["refused"] for result in results) == PROCESSES * LAUNCHES - ADDRESSES
