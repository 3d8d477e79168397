import json
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.decision.addresses import Holding, PoolUse, use_of
from orchestrator.decision.documents import plan_document
from orchestrator.decision.packing import Item, pack
from orchestrator.decision.planning import Plan, plan_batch, plan_drain
from orchestrator.decision.request import Request, Wishes
from orchestrator.decision.resources import InventoryRow, ResourceClass
from orchestrator.decision.scoring import Strategy
from orchestrator.decision.snapshot import Cordon, Snapshot
from orchestrator.settings import PoolSettings, Reach
from tests.support.placing import LARGE, NOW, REMOTE, host, inventory, job, request, shares, snapshot, some_amounts
from tests.support.schemas import schema

SCHEMA = schema("plan")
BOTH = pytest.mark.parametrize("strategy", list(Strategy))


def where(plan: Plan) -> dict[str, str]:
    return {item.request.name: item.host for item in plan.assignments}


def part(name: str, **parts: float) -> Request:
    amounts = shares(LARGE, {ResourceClass(key): value for key, value in parts.items()})
    return request(name, {ResourceClass.SLOTS: 1, **amounts})


@BOTH
def test_what_fits_only_together_in_one_way_is_packed_in_that_way(strategy: Strategy) -> None:
    batch = [
        *(part("a", memory=0.7), part("b", memory=0.6)),
        *(part("c", memory=0.4), part("d", memory=0.3)),
    ]
    plan = plan_batch(snapshot(host("db1"), host("db2")), batch, strategy)
    assert plan.refused == ()
    found = where(plan)
    assert found["a"] == found["d"] != found["b"] == found["c"]


def test_spread_uses_all_hosts_and_pack_as_few_as_it_can() -> None:
    fleet = snapshot(*(host(f"db{number}") for number in range(4)))
    batch = [part(f"b{number}", cpu=0.2, memory=0.2) for number in range(4)]
    assert set(where(plan_batch(fleet, batch, Strategy.SPREAD)).values()) == {"db0", "db1", "db2", "db3"}
    assert set(where(plan_batch(fleet, batch, Strategy.PACK)).values()) == {"db0"}


@BOTH
def test_what_has_no_host_has_reasons_that_count_the_rest_of_the_plan(strategy: Strategy) -> None:
    batch = [part(name, memory=0.9) for name in "abc"]
    plan = plan_batch(snapshot(host("db1"), host("db2")), batch, strategy)
    assert len(plan.assignments) == 2
    (refused,) = plan.refused
    assert refused.codes("db1") == refused.codes("db2") == {"capacity.memory"}


@BOTH
def test_readers_wishes_and_reach_hold_in_a_plan(strategy: Strategy) -> None:
    once = replace(REMOTE, name="once", readers=1)
    local = replace(REMOTE, name="local", reach=Reach.LOCAL, host="db2")
    some = {ResourceClass.SLOTS: 1}
    batch = [
        *(request(f"once{number}", some, once) for number in range(2)),
        *(replace(request(f"apart{number}", some), wishes=Wishes(apart=True)) for number in range(2)),
        request("there", some, local),
        replace(request("zone", some), wishes=Wishes(zone="b")),
    ]
    plan = plan_batch(snapshot(host("db1", zone="b"), host("db2")), batch, strategy)
    found = where(plan)
    assert [decision.name for decision in plan.refused] == ["once1"]
    assert plan.refused[0].codes("db1") == {"source.readers"}
    assert found["apart0"] != found["apart1"]
    assert (found["there"], found["zone"]) == ("db2", "db1")


POOL = PoolSettings(name="net", range=IPv4Network("10.20.0.0/24"), gateway=IPv4Address("10.20.0.1"))


def four_left() -> Mapping[str, PoolUse]:
    """Of 253 addresses."""
    held = [Holding(address=IPv4Address(f"10.20.0.{last}")) for last in range(2, 251)]
    return {"net": use_of(POOL, held, now=NOW)}


@BOTH
def test_a_plan_gives_away_no_more_addresses_than_a_pool_has(strategy: Strategy) -> None:
    hosts = [host(f"db{number}", pools=frozenset({"net"})) for number in range(3)]
    some = {ResourceClass.SLOTS: 1}
    nowhere = Wishes(pool="net", zone="nowhere")
    batch = [
        *(replace(request(f"lost{number}", some), wishes=nowhere) for number in range(4)),
        *(replace(request(f"b{number}", some), wishes=Wishes(pool="net")) for number in range(10)),
        request("free", some),
    ]
    plan = plan_batch(snapshot(*hosts, pools=four_left()), batch, strategy)
    assert sorted(where(plan)) == ["b0", "b1", "b2", "b3", "free"]
    refused = {decision.name: decision for decision in plan.refused}
    assert set(refused) == {*(f"lost{number}" for number in range(4)), *(f"b{number}" for number in range(4, 10))}
    said = {reason.sentence for verdict in refused["b9"].verdicts for reason in verdict.reasons}
    assert said == {"address pool net (10.20.0.0/24) is full: 249 of 253 are held, 4 are for others of this plan"}


@BOTH
def test_an_address_that_one_can_not_use_for_want_of_room_goes_to_another(strategy: Strategy) -> None:
    hosts = [host("db1", pools=frozenset({"net"}))]
    large = [replace(part(f"a{number}", memory=0.9), wishes=Wishes(pool="net")) for number in range(4)]
    small = [replace(part(f"b{number}", memory=0.01), wishes=Wishes(pool="net")) for number in range(4)]
    found = where(plan_batch(snapshot(*hosts, pools=four_left()), [*large, *small], strategy))
    assert len(found) == 4
    assert len(found.keys() & {"b0", "b1", "b2", "b3"}) == 3


def test_drain_counts_addresses_and_keeps_to_the_pool() -> None:
    some = {ResourceClass.SLOTS: 1}
    rows = {**LARGE, ResourceClass.SLOTS: InventoryRow(10)}
    jobs = tuple(replace(job(number, some), pool="net") for number in range(10))
    fleet = snapshot(
        host("db1", jobs=jobs, rows=rows, pools=frozenset({"net"})),
        host("db2", rows=rows, pools=frozenset({"net"})),
        host("db3", rows=rows),
        names={item.name: "db1" for item in jobs},
        pools=four_left(),
    )
    plan = plan_drain(fleet, "db1", {"orders": REMOTE})
    assert set(where(plan).values()) == {"db2"}
    assert (len(plan.assignments), len(plan.refused)) == (4, 6)
    assert plan.refused[0].codes("db2") == {"pool.full"}
    assert plan.refused[0].codes("db3") == {"pool.full", "host.pool"}


def test_drain_leaves_a_job_where_the_backups_are_that_it_reads() -> None:
    some = {ResourceClass.SLOTS: 1}
    verify = replace(job(1, some), job="verify", reads_backups=True)
    reader = replace(job(2, some), source="once")
    once = replace(REMOTE, name="once", readers=1)
    fleet = snapshot(host("db1", jobs=(verify, reader)), host("db2"), readers={"once": 1})
    plan = plan_drain(fleet, "db1", {"orders": REMOTE, "once": once})
    assert where(plan) == {"job2": "db2"}
    (stays,) = plan.refused
    assert stays.codes("db2") == {"backup.not_local"}
    (reason,) = next(verdict.reasons for verdict in stays.verdicts if verdict.host == "db2")
    assert reason.sentence == "the backups that it builds on are on db1, not here"


def test_drain_proposes_moves_and_says_what_can_not_move() -> None:
    local = replace(REMOTE, name="local", reach=Reach.LOCAL, host="db1")
    some = {ResourceClass.SLOTS: 1, ResourceClass.CPU: 1000}
    fleet = snapshot(
        host("db1", jobs=(job(1, some), job(2, some, "local"))), host("db2"), names={"job1": "db1", "job2": "db1"}
    )
    plan = plan_drain(fleet, "db1", {"orders": REMOTE, "local": local})
    assert where(plan) == {"job1": "db2"}
    (stays,) = plan.refused
    assert stays.name == "job2"
    assert stays.codes("db1") == {"host.cordoned"}
    assert stays.codes("db2") == {"source.not_local"}


def fleet_and_batch(seed: int) -> tuple[Snapshot, list[Request]]:
    rng = random.Random(seed)  # noqa: S311 - no secret
    hosts = []
    for number in range(rng.randint(1, 6)):
        rows = inventory(rng.choice([0.5, 1.0, 2.0]))
        jobs = tuple(job(number * 10 + one, some_amounts(rng, rows)) for one in range(rng.randint(0, 3)))
        hosts.append(host(f"db{number}", jobs=jobs, rows=rows))
    cordons = (Cordon("db0", "ann", "disks", None, NOW),) if rng.random() < 0.3 else ()
    batch = [request(f"b{number}", some_amounts(rng)) for number in range(rng.randint(0, 20))]
    return snapshot(*hosts, cordons=cordons), batch


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(Strategy))
def test_a_plan_oversells_nothing_and_answers_every_request(seed: int, strategy: Strategy) -> None:
    fleet, batch = fleet_and_batch(seed)
    plan = plan_batch(fleet, batch, strategy)
    names = [item.request.name for item in plan.assignments] + [decision.name for decision in plan.refused]
    assert Counter(names) == Counter(item.name for item in batch)
    for state in fleet.hosts:
        given_away: Counter[ResourceClass] = Counter()
        for item in plan.assignments:
            if item.host == state.name:
                given_away.update(item.request.amounts)
        unsold = {key: max(size - state.allocated.get(key, 0), 0) for key, size in state.sellable.items()}
        assert all(amount <= unsold[key] for key, amount in given_away.items())
    for decision in plan.refused:
        assert all(verdict.reasons for verdict in decision.verdicts)
    SCHEMA.validate(json.loads(json.dumps(plan_document(plan))))
    assert plan == plan_batch(replace(fleet, hosts=fleet.hosts[::-1]), batch, strategy)


vectors = st.tuples(st.integers(0, 10), st.integers(0, 10))


@settings(max_examples=100, deadline=None)
@given(st.lists(vectors, max_size=12), st.lists(vectors, min_size=1, max_size=5))
def test_packing_never_overfills_and_leaves_out_only_what_fits_nowhere(
    needs: list[tuple[int, int]], bins: list[tuple[int, int]]
) -> None:
    items = [Item(needs=one, bins=frozenset(range(len(bins)))) for one in needs]
    packing = pack(items, bins, range(len(bins)))
    for target, size in enumerate(bins):
        inside = [needs[item] for item in packing.inside(target)]
        assert packing.free[target] == (size[0] - sum(x for x, _ in inside), size[1] - sum(y for _, y in inside))
        assert min(packing.free[target]) >= 0
    assert not any(packing.fits(item, target) for item in packing.unpacked() for target in range(len(bins)))
