"""Cordons, the append-only record and its retention, export."""

import json

import pytest

from orchestrator.decision.request import Override
from orchestrator.decision.resources import ResourceClass
from orchestrator.decision.snapshot import Cordon
from orchestrator.ledger import (
    ConcurrentUpdateError,
    Event,
    Generations,
    LaunchState,
    Ledger,
    NotEmptyError,
    Restored,
    schema,
)
from tests.support.ledger import NEEDED, allocate, record

ALL = frozenset(ResourceClass)
REBOOT = Cordon(host="db1", who="ann", why="new kernel", until=500.0, since=100.0)
FREEZE = Cordon(host=None, who="bob", why="the network is being moved", until=None, since=100.0)


def test_a_cordon_is_seen_recorded_and_lifted(ledger: Ledger) -> None:
    ledger.cordon(REBOOT, hosts=["db1"])
    ledger.cordon(FREEZE, hosts=["db1", "db2"])
    assert ledger.view().cordons == (FREEZE, REBOOT)
    assert ledger.uncordon("db1", who="cleo", at=200.0)
    assert not ledger.uncordon("db1", who="cleo", at=201.0)
    assert ledger.view().cordons == (FREEZE,)
    assert ledger.uncordon(None, who="cleo", at=202.0)
    rows = [row for row in ledger.export(at=0.0) if row["table"] == "event"]
    assert [(row["kind"], row["host"], row["who"], row["at"]) for row in rows] == [
        ("cordon", "db1", "ann", 100.0),
        ("freeze", None, "bob", 100.0),
        ("uncordon", "db1", "cleo", 200.0),
        ("thaw", None, "cleo", 202.0),
    ]
    assert rows[0]["detail"] == {"why": "new kernel", "until": 500.0}


def test_a_new_cordon_of_a_host_takes_the_place_of_the_old_one(ledger: Ledger) -> None:
    ledger.cordon(REBOOT, hosts=["db1"])
    later = Cordon(host="db1", who="bob", why="still", until=None, since=300.0)
    ledger.cordon(later, hosts=["db1"])
    assert ledger.view().cordons == (later,)


@pytest.mark.parametrize("cordon", [REBOOT, FREEZE])
def test_a_decision_made_before_a_cordon_does_not_slip_through(ledger: Ledger, cordon: Cordon) -> None:
    ledger.cordon(cordon, hosts=["db1"])
    with pytest.raises(ConcurrentUpdateError):
        allocate(ledger, record(), expected=Generations(host=0, source=0))


def test_an_override_is_recorded_with_who_and_why(ledger: Ledger) -> None:
    override = Override(codes=("alert.firing",), who="ann", why="the disk is being replaced")
    allocate(ledger, record(), override=override)
    kinds = {event.kind: event for event in ledger.events("r1")}
    assert list(kinds) == ["decision", "override", "intent"]
    assert kinds["override"].who == "ann"
    assert kinds["override"].detail == {"codes": ["alert.firing"], "why": "the disk is being replaced"}


def refused(at: float, number: int = 0) -> Event:
    return Event(at=at, kind="decision", request_id=f"x{number}", name="b9", detail={"host": None})


def test_old_entries_go_and_those_of_live_launches_and_of_kept_volumes_stay(ledger: Ledger) -> None:
    allocate(ledger, record())
    allocate(ledger, record("b2", "r2"))
    ledger.advance("r2", LaunchState.REMOVED, at=2.0, release=ALL, volume="b2-r2")
    ledger.record(refused(2.0))
    ledger.record(refused(50.0, 1))
    assert ledger.prune(before=10.0, keep=1000) == 1
    assert [event.at for event in ledger.events_named("b9")] == [50.0]
    assert [event.kind for event in ledger.events("r1")] == ["decision", "intent"]
    assert len(ledger.events("r2")) == 4
    ledger.advance("r2", LaunchState.REMOVED, at=3.0, volume=None)
    assert ledger.prune(before=10.0, keep=1000) == 5
    assert ledger.launches_named("b2") == ()
    assert [launch.name for launch in ledger.launches()] == ["b1"]


def test_only_so_many_entries_stay(ledger: Ledger) -> None:
    for number in range(10):
        ledger.record(refused(float(number), number))
    assert ledger.prune(before=0.0, keep=3) == 7
    assert [event.at for event in ledger.events_named("b9")] == [7.0, 8.0, 9.0]
    assert ledger.prune(before=0.0, keep=3) == 0


def test_a_cordon_that_ran_out_long_ago_goes(ledger: Ledger) -> None:
    ledger.cordon(REBOOT, hosts=["db1"])
    ledger.prune(before=499.0, keep=1000)
    assert ledger.view().cordons == (REBOOT,)
    ledger.prune(before=501.0, keep=1000)
    assert ledger.view().cordons == ()


def test_the_export_is_every_row_as_json(ledger: Ledger) -> None:
    allocate(ledger, record())
    ledger.cordon(FREEZE, hosts=["db1"])
    rows = [json.loads(json.dumps(dict(row))) for row in ledger.export(at=7.0)]
    assert rows[0] == {"table": None, "format": 1, "schema": schema.HEAD, "exported_at": 7.0}
    tables = [row["table"] for row in rows[1:]]
    assert sorted(set(tables)) == ["allocation", "cordon", "event", "host", "launch", "lease", "source"]
    assert tables.index("host") < tables.index("launch") < tables.index("allocation")
    (launch,) = [row for row in rows if row["table"] == "launch"]
    assert (launch["request_id"], launch["spec"], launch["state"]) == ("r1", {"image": "x"}, "intent")
    assert {row["resource_class"]: row["amount"] for row in rows if row["table"] == "allocation"} == dict(NEEDED)


def restored(*, host: str = "db1", request_id: str = "r1") -> Restored:
    launch = record("b1" if request_id == "r1" else "b2", request_id, host=host)
    cordon = Cordon(host="db3", who="ann", why="its engine doesn't answer", until=None, since=5.0)
    return Restored(
        generations={host: 41, "db3": 0},
        fingerprints={host: "engine"},
        launches=(launch,),
        amounts={request_id: NEEDED},
        cordons=(cordon,),
    )


def test_a_restored_ledger_goes_on_above_the_generations_that_were_found(ledger: Ledger) -> None:
    ledger.restore(restored(), who="ann", at=5.0)
    view = ledger.view()
    assert view.generations["db1"] == 42
    assert view.allocated == {"db1": NEEDED}
    assert view.fingerprints == {"db1": "engine"}
    assert [cordon.host for cordon in view.cordons] == ["db3"]
    assert [event.kind for event in ledger.events("r1")] == ["rebuilt"]
    allocate(ledger, record("b3", "r3"))


def test_nothing_is_restored_over_a_ledger_that_has_launches_of_a_host(ledger: Ledger) -> None:
    allocate(ledger, record())
    with pytest.raises(NotEmptyError, match="a launch on db1"):
        ledger.restore(restored(request_id="r2"), who="ann", at=5.0)
    assert [launch.name for launch in ledger.launches()] == ["b1"]
    assert ledger.view().cordons == ()
    ledger.restore(restored(host="db2", request_id="r2"), who="ann", at=5.0)
