"""Whose turn it is on a launch, and what was seen on a host: on SQLite and PostgreSQL."""

import pytest

from orchestrator.decision.resources import ResourceClass
from orchestrator.ledger import LaunchState, Ledger, LedgerError, TakenOverError
from tests.support.ledger import allocate, record


def test_a_sign_of_life_is_written_with_the_step(ledger: Ledger) -> None:
    allocate(ledger, record())
    ledger.begin_step("r1", "volume", turn=0, at=7.0)
    found = ledger.launch("r1")
    assert found is not None
    assert (found.step, found.updated_at, found.turn, found.state) == ("volume", 7.0, 0, LaunchState.INTENT)


def test_whoever_was_taken_over_writes_nothing_any_more(ledger: Ledger) -> None:
    allocate(ledger, record())
    seen = ledger.launch("r1")
    assert seen is not None
    assert ledger.take_over(seen, "reconcile", at=9.0) == 1
    with pytest.raises(TakenOverError):
        ledger.begin_step("r1", "create", turn=0, at=10.0)
    with pytest.raises(TakenOverError):
        ledger.advance("r1", LaunchState.RUNNING, at=10.0, turn=0)
    now = ledger.launch("r1")
    assert now is not None
    assert (now.state, now.step, now.updated_at) == (LaunchState.INTENT, "reconcile", 9.0)
    ledger.advance("r1", LaunchState.REMOVED, at=11.0, turn=1, release=frozenset(ResourceClass))
    assert ledger.held("r1") == {}


def test_of_two_that_take_over_one_does(ledger: Ledger) -> None:
    allocate(ledger, record())
    seen = ledger.launch("r1")
    assert seen is not None
    ledger.take_over(seen, "reconcile", at=9.0)
    with pytest.raises(TakenOverError):
        ledger.take_over(seen, "reconcile", at=9.0)


def test_an_owner_who_showed_a_sign_of_life_keeps_his_launch(ledger: Ledger) -> None:
    allocate(ledger, record())
    seen = ledger.launch("r1")
    assert seen is not None
    ledger.begin_step("r1", "create", turn=0, at=2.0)
    with pytest.raises(TakenOverError):
        ledger.take_over(seen, "reconcile", at=9.0)


def test_no_step_of_a_removed_launch_begins(ledger: Ledger) -> None:
    allocate(ledger, record())
    ledger.advance("r1", LaunchState.REMOVED, at=2.0, release=frozenset(ResourceClass))
    with pytest.raises(LedgerError) as caught:
        ledger.begin_step("r1", "create", turn=0, at=3.0)
    assert caught.value.code == "launch.removed"


def test_sightings_count_in_a_row_and_are_forgotten_when_they_end(ledger: Ledger) -> None:
    leak, other = ("container", "c1"), ("volume", "b1-r1")
    (first,) = ledger.see("db1", [leak], at=1.0)
    assert (first.times, first.first_seen) == (1, 1.0)
    ledger.see("db2", [leak], at=1.5)
    again, new = ledger.see("db1", [leak, other], at=2.0)
    assert (again.times, again.first_seen, again.last_seen) == (2, 1.0, 2.0)
    assert (new.times, new.identity) == (1, "b1-r1")
    ledger.see("db1", [other], at=3.0)
    (anew, _) = ledger.see("db1", [leak, other], at=4.0)
    assert (anew.times, anew.first_seen) == (1, 4.0)
    assert len(ledger.sightings()) == 3


def test_the_last_engine_of_a_host_is_known_when_nothing_lives_there(ledger: Ledger) -> None:
    allocate(ledger, record())
    ledger.advance("r1", LaunchState.REMOVED, at=2.0, release=frozenset(ResourceClass))
    assert ledger.view().fingerprints == {}
    assert ledger.engine_fingerprints() == {"db1": "engine"}
