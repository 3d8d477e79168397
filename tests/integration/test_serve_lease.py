"""The lease in real ledgers, and between real processes that are killed, stopped and ended."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.ledger import Event, LeaseLostError, LeaseRow, Ledger, fence, open_ledger
from orchestrator.serve.lease import LeaseKeeper
from tests.support.ledger import allocate, record
from tests.support.serve import TAKEOVER_DEADLINE, Serve, serving, write_config
from tests.support.servers import freeze
from tests.support.wait import wait_until


def taken(ledger: Ledger, holder: str) -> LeaseRow:
    """The lease in other hands."""
    leases = ledger.leases()
    row = leases.read()
    wanted = LeaseRow(token=row.token + 1, renewals=row.renewals + 1, holder=holder, seconds=15.0)
    assert leases.swap(row, wanted)
    return wanted


def test_a_new_ledger_has_a_free_lease_and_of_two_that_want_it_one_gets_it(ledger: Ledger) -> None:
    leases = ledger.leases()
    free = leases.read()
    assert (free.token, free.holder) == (0, None)
    wanted = [LeaseRow(token=1, renewals=1, holder=name, seconds=15.0) for name in ("a", "b")]
    assert [leases.swap(free, row) for row in wanted] == [True, False]
    assert leases.read() == wanted[0]


def test_whoever_lost_the_lease_writes_nothing(ledger: Ledger) -> None:
    first = taken(ledger, "a")
    behind = ledger.fenced(fence("a", first.token))
    allocate(behind, record())
    taken(ledger, "b")
    with pytest.raises(LeaseLostError):
        allocate(behind, record("b2", "r2"))
    with pytest.raises(LeaseLostError):
        behind.prune(before=10**12, keep=1)
    assert list(ledger.view().names) == ["b1"]
    assert [event.kind for event in ledger.events("r1")] == ["decision", "intent"]


def test_a_lease_that_was_given_back_lets_nothing_pass(ledger: Ledger) -> None:
    keeper = LeaseKeeper(ledger.leases(), "a", clock=lambda: 0.0)
    keeper.step()
    behind = ledger.fenced(fence("a", 1))
    behind.record(Event(at=1.0, kind="intent", request_id="r1"))
    keeper.give_back()
    with pytest.raises(LeaseLostError):
        behind.record(Event(at=1.0, kind="intent", request_id="r1"))


def test_a_renewal_passes_a_transaction_of_the_holder_and_a_takeover_waits_for_it(ledger: Ledger) -> None:
    """On SQLite both wait: a transaction that writes has the whole database."""
    row = taken(ledger, "a")
    inside, leave = threading.Event(), threading.Event()
    order: list[str] = []

    def write() -> None:
        behind = ledger.fenced(held_open)
        behind.record(Event(at=1.0, kind="intent", request_id="r1"))
        order.append("written")

    def held_open(connection: object) -> None:
        fence("a", row.token)(connection)  # type: ignore[arg-type]
        inside.set()
        assert leave.wait(20)

    def take() -> None:
        taken(ledger, "b")
        order.append("taken")

    writer, taker = threading.Thread(target=write), threading.Thread(target=take)
    writer.start()
    assert inside.wait(20)
    if ledger._database._engine.dialect.name == "postgresql":
        renewed = LeaseRow(token=row.token, renewals=row.renewals + 1, holder="a", seconds=15.0)
        assert ledger.leases().swap(row, renewed), "the holder's own renewal doesn't wait"
    taker.start()
    taker.join(0.3)
    assert order == []
    leave.set()
    for thread in (writer, taker):
        thread.join(20)
    assert order == ["written", "taken"]


@pytest.fixture
def pair(ledger_url: str, tmp_path: Path) -> Iterator[tuple[Serve, Serve]]:
    """Two serves of one ledger; the first holds the lease. The fleet has one host, whose engine nobody answers for."""
    hosts = {"db1": 'docker = "tcp://127.0.0.1:9"\nagent = "http://127.0.0.1:9273"'}
    # The first one would prune all that the second one keeps.
    hasty = 'keep = "1s"'
    with serving(write_config(tmp_path, "first", ledger_url, hosts, more=hasty)) as first:
        first.await_lease()
        with serving(write_config(tmp_path, "second", ledger_url, hosts)) as second:
            yield first, second


def test_the_second_one_waits_and_takes_over_when_the_first_is_killed(pair: tuple[Serve, Serve]) -> None:
    first, second = pair
    wait_until(lambda: second.value("vdbmon_serve_lease_token") == 1, deadline=20, what="the second sees the lease")
    assert not second.holds
    status, document = second.get("/api/capacity")
    assert (status, document["error"]["code"]) == (503, "serve.standby")
    assert "first pid" in document["error"]["message"]
    assert second.get("/sd") == first.get("/sd")
    assert second.get("/api/decisions") == (200, {"decisions": [], "next": None})
    assert second.value("vdbmon_placement_host_open", host="db1") is None
    first.process.kill()
    second.await_lease()
    assert second.value("vdbmon_serve_lease_token") == 2
    assert second.get("/api/capacity")[0] == 200


def test_one_that_is_ended_gives_the_lease_back_at_once(pair: tuple[Serve, Serve]) -> None:
    first, second = pair
    first.process.send_signal(signal.SIGTERM)
    assert first.process.wait(20) == 0
    wait_until(lambda: second.holds, deadline=10, what="the second has the lease")
    assert "Traceback" not in first.log.read_text()


def test_one_that_was_stopped_past_its_lease_does_nothing_more_when_it_goes_on(
    pair: tuple[Serve, Serve], ledger_url: str
) -> None:
    first, second = pair
    freeze(first.process.pid)
    second.await_lease()
    ledger = open_ledger(ledger_url)
    ledger.record(Event(at=time.time() - 100, kind="decision", name="old", detail={"host": None}))
    os.kill(first.process.pid, signal.SIGCONT)
    states: list[tuple[float | None, float | None]] = []

    def woken() -> bool:
        states.append((first.value("vdbmon_serve_lease_held"), second.value("vdbmon_serve_lease_held")))
        return first.value("vdbmon_serve_lease_token") == 2

    wait_until(woken, deadline=TAKEOVER_DEADLINE, what="the first knows that it lost the lease", every=0.02)
    assert {held for held, _ in states} == {0.0}, "it never says again that it holds the lease"
    began = second.value("vdbmon_serve_last_beat_timestamp_seconds") or 0.0
    wait_until(
        lambda: (second.value("vdbmon_serve_last_beat_timestamp_seconds") or 0.0) > began + 2,
        deadline=20,
        what="two beats more",
    )
    assert [event.kind for event in ledger.events_named("old")] == ["decision"], "the first prunes nothing any more"
    ledger.close()
    assert first.value("vdbmon_placement_host_open", host="db1") is None
    second.process.send_signal(signal.SIGTERM)
    first.await_lease()
    assert first.value("vdbmon_serve_lease_token") == 3
