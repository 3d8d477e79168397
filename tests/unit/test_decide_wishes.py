"""What a request wishes, what an operator says, and which of the hosts that fit is best."""

from dataclasses import replace

import pytest

from orchestrator.decision.decide import Decision, decide
from orchestrator.decision.request import Override, Wishes
from orchestrator.decision.resources import Amounts, ResourceClass
from orchestrator.decision.scoring import Strategy
from orchestrator.decision.snapshot import Cordon, GateAlert, HostState, PlacedJob
from orchestrator.settings import Reach
from tests.support.decisions import GIB, IDLE, NEEDED, NOW, SOURCE, gate, host, request, snapshot


def cordon(name: str | None, **changes: object) -> Cordon:
    base = Cordon(host=name, who="ann", why="new disks", until=None, since=NOW - 60)
    return replace(base, **changes)  # type: ignore[arg-type]


WISHES = {
    "host.zone": Wishes(zone="b"),
    "host.device_class": Wishes(device_class="nvme"),
    "host.pool": Wishes(pool="green"),
    "host.label": Wishes(labels={"rack": "2"}),
    "affinity.same_source": Wishes(apart=True),
}


@pytest.mark.parametrize("code", WISHES)
def test_each_wish_that_a_host_does_not_meet_refuses_it_by_its_code(code: str) -> None:
    other = PlacedJob(request_id="r0", name="b0", source="demo", job="backup", amounts={})
    lacks = host(zone="a", device_class="hdd", pools=frozenset({"blue"}), labels={"rack": "1"}, jobs=(other,))
    meets = host(zone="b", device_class="nvme", pools=frozenset({"green"}), labels={"rack": "2"})
    wanted = request(wishes=WISHES[code])
    assert decide(snapshot(lacks), wanted).codes("db1") == {code}
    assert decide(snapshot(meets), wanted).accepted
    assert decide(snapshot(lacks), request()).accepted


def test_cordon_closes_its_host_and_a_freeze_the_fleet_as_long_as_they_last() -> None:
    assert decide(snapshot(cordons=(cordon("db1"),)), request()).codes("db1") == {"host.cordoned"}
    assert decide(snapshot(cordons=(cordon("db2"),)), request()).accepted
    assert decide(snapshot(cordons=(cordon(None),)), request()).codes("db1") == {"fleet.frozen"}
    assert decide(snapshot(cordons=(cordon(None, until=NOW - 1), cordon("db1", until=NOW))), request()).accepted
    (reason,) = decide(snapshot(cordons=(cordon("db1", until=NOW + 60),)), request()).verdicts[0].reasons
    assert reason.sentence == "cordoned by ann, until 1970-01-12 13:47 UTC: new disks"


def test_source_is_read_by_as_many_jobs_as_it_says() -> None:
    one = replace(SOURCE, readers=1)
    assert decide(snapshot(), request(source=one)).accepted
    busy = snapshot(readers={"demo": 1})
    assert decide(busy, request(source=one)).codes("db1") == {"source.readers"}
    assert decide(busy, request(source=replace(SOURCE, readers=2))).accepted
    assert decide(busy, request()).accepted


def test_class_that_a_host_does_not_count_is_refused_only_where_it_is_asked_for() -> None:
    assert decide(snapshot(), request()).accepted
    wanted = request(amounts={**NEEDED, ResourceClass.READ_IOPS: 100})
    (reason,) = decide(snapshot(), wanted).verdicts[0].reasons
    assert (reason.code, reason.dimension) == ("inventory.missing", ResourceClass.READ_IOPS)
    assert decide(snapshot(), request(amounts={**NEEDED, ResourceClass.READ_IOPS: 0})).accepted


def test_containers_of_others_count_like_allocations() -> None:
    foreign: Amounts = {ResourceClass.SLOTS: 1, ResourceClass.MEMORY: 15 * GIB}
    own = PlacedJob(request_id="r0", name="b0", source="demo", job="backup", amounts={})
    theirs = replace(IDLE, containers={"x1": foreign, "x2": foreign, "b0": foreign})
    crowded = host(telemetry=theirs, allocated={ResourceClass.SLOTS: 3, ResourceClass.MEMORY: 2 * GIB}, jobs=(own,))
    assert crowded.foreign == {ResourceClass.SLOTS: 2, ResourceClass.MEMORY: 30 * GIB}
    assert decide(snapshot(crowded), request()).codes("db1") == {"capacity.slots", "capacity.memory"}


def stream(*hosts: HostState, strategy: Strategy = Strategy.SPREAD) -> Decision:
    """A decision for a source that every host reaches."""
    anywhere = [replace(item, reaches=frozenset(Reach)) for item in hosts]
    return decide(snapshot(*anywhere), request(source=replace(SOURCE, reach=Reach.STREAM, host=None)), strategy)


def test_spread_takes_the_emptiest_and_pack_the_fullest_that_fits() -> None:
    fleet = [
        host(f"db{number}", allocated={ResourceClass.CPU: number * 2000, ResourceClass.MEMORY: number * 8 * GIB})
        for number in range(5)
    ]
    assert stream(*fleet).host == "db0"
    packed = stream(*fleet, strategy=Strategy.PACK)
    assert packed.host == "db3"
    assert packed.codes("db4") == {"capacity.cpu", "capacity.memory"}
    assert packed.codes("db0") == {"score.more_headroom"}
    assert packed.why.endswith("the least of 4 that fit")


def test_a_host_that_is_really_busy_is_avoided_though_nothing_is_allocated_there() -> None:
    busy = host("db1", telemetry=replace(IDLE, used={**IDLE.used, ResourceClass.CPU: 5000}))
    assert stream(busy, host("db2")).host == "db2"


def test_a_placement_that_strands_less_wins_where_headroom_is_equal() -> None:
    """Both keep 12 % in the tightest dimension; on db1 the memory that is left can't be given away without CPU."""
    lopsided = host("db1", allocated={ResourceClass.CPU: 6000})
    alike = host("db2", allocated={ResourceClass.MEMORY: 27 * GIB})
    decision = stream(lopsided, alike)
    assert decision.host == "db2"
    assert decision.codes("db1") == {"score.strands_more"}
    assert stream(host("db1"), host("db2")).codes("db2") == {"score.same"}


OVERRIDE = Override(codes=("alert.firing", "host.cordoned", "capacity.slots"), who="ann", why="disk replaced")


def test_an_override_drops_the_reasons_that_it_names_and_no_others() -> None:
    alert = GateAlert(name="HostFilesystemFull", host="db1", fleet=False, firing=True)
    cordon = Cordon(host="db1", who="bob", why="kernel", until=None, since=NOW)
    closed = snapshot(gate=gate(alerts=(alert,)), cordons=(cordon,))
    assert decide(closed, request()).codes("db1") == {"alert.firing", "host.cordoned"}
    assert decide(closed, request(override=OVERRIDE)).host == "db1"
    stale = snapshot(host(telemetry=replace(IDLE, age=999.0)), gate=gate(alerts=(alert,)))
    assert decide(stale, request(override=OVERRIDE)).codes("db1") == {"telemetry.stale"}


def test_room_can_not_be_overridden() -> None:
    full = snapshot(host(allocated={ResourceClass.SLOTS: 5}))
    assert decide(full, request(override=OVERRIDE)).codes("db1") == {"capacity.slots"}
