import io
import json
from dataclasses import replace
from pathlib import Path

import promql_parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from collector.catalogue import METRICS
from collector.errors import VdbmonError
from orchestrator.capacity.documents import capacity_document, consolidation_document, what_if_document
from orchestrator.capacity.figures import Dimension, capacity, consolidation, fleet_dimensions, what_if
from orchestrator.capacity.forecast import DAY, Forecast, Point, forecast, forecasts, history_queries
from orchestrator.decision.resources import ResourceClass
from orchestrator.decision.snapshot import Cordon, HostState, Snapshot, Telemetry
from tests.support.placing import IDLE, LARGE, NOW, host, job, shares, snapshot
from tests.support.schemas import schema
from tests.support.snapshots import snapshots
from vdbmon.capacity_tables import capacity_view, consolidation_view, what_if_view

GIB = 2**30
SCHEMA = schema("capacity")
QUARTER = {ResourceClass.SLOTS: 1, ResourceClass.MEMORY: LARGE[ResourceClass.MEMORY].sellable // 4}


def crowded(name: str = "db1") -> HostState:
    """One of ours, one of somebody else."""
    theirs = {ResourceClass.SLOTS: 1, ResourceClass.MEMORY: 8 * GIB}
    used = {**IDLE.used, ResourceClass.MEMORY: 50 * GIB}
    return host(name, jobs=(job(1, QUARTER),), telemetry=replace(IDLE, used=used, containers={"theirs": theirs}))


def text(renderable: object) -> str:
    output = io.StringIO()
    Console(file=output, width=200).print(renderable)
    return output.getvalue()


def test_every_dimension_has_its_figures() -> None:
    (found,) = capacity(snapshot(crowded()))
    assert found.dimensions[ResourceClass.MEMORY] == Dimension(
        total=128 * GIB,
        reserved=8 * GIB,
        sellable=120 * GIB,
        allocated=30 * GIB,
        others=8 * GIB,
        used=50 * GIB,
        free=70 * GIB,
    )
    slots = found.dimensions[ResourceClass.SLOTS]
    assert (slots.total, slots.allocated, slots.others, slots.used, slots.free) == (8, 1, 1, None, 6)


def test_overdrawn_hosts_take_nothing_from_the_room_of_others() -> None:
    over = host("db2", telemetry=replace(IDLE, used={**IDLE.used, ResourceClass.MEMORY: 200 * GIB}))
    fleet = fleet_dimensions(capacity(snapshot(host("db1"), over)))
    assert fleet[ResourceClass.MEMORY].free == 120 * GIB
    assert fleet[ResourceClass.MEMORY].total == 256 * GIB


def test_what_if_counts_what_fits_and_names_what_runs_out_first() -> None:
    cordon = Cordon("db3", "ann", "disks", None, NOW)
    answer = what_if(snapshot(host("db1"), crowded("db2"), host("db3"), cordons=(cordon,)), QUARTER)
    assert [(fit.host, fit.count) for fit in answer.hosts] == [("db1", 4), ("db2", 2), ("db3", 0)]
    assert answer.total == 6
    assert answer.hosts[0].first == (ResourceClass.MEMORY,)
    assert answer.first == {ResourceClass.MEMORY: 2}
    assert [reason.code for reason in answer.hosts[2].closed] == ["host.cordoned"]
    assert what_if_document(answer)["runs_out_first"] == {"memory": 2}
    assert "6 more fit" in text(what_if_view(answer))


def test_slots_run_out_first_where_containers_are_small() -> None:
    answer = what_if(snapshot(host("db1")), {ResourceClass.SLOTS: 1, ResourceClass.CPU: 1})
    assert (answer.total, answer.first) == (8, {ResourceClass.SLOTS: 1})


def test_stretched_cpu_is_sold_beyond_what_is_there_as_long_as_use_leaves_room_for_one_more() -> None:
    fifth = shares(LARGE, {ResourceClass.SLOTS: 0.1, ResourceClass.CPU: 0.2})
    assert fifth[ResourceClass.CPU] * 4 > LARGE[ResourceClass.CPU].usable
    assert what_if(snapshot(host("db1")), fifth).total == 4


def test_consolidation_counts_all_instances_against_one_machine_each() -> None:
    saving = consolidation(snapshot(crowded("db1"), crowded("db2"), host("db3")))
    assert (saving.total, saving.hosts, saving.saved, saving.fewest) == (4, 3, 1, 1)
    assert saving.instances == {"db1": 2, "db2": 2}
    assert consolidation_document(saving)["saved"] == 1
    assert "4 instances run on 3 hosts: 1 machines saved" in text(consolidation_view(saving))


def line(days: int, *, at: float, per_day: float) -> list[Point]:
    return [(NOW - (days - number) * DAY, at - (days - number) * per_day) for number in range(days + 1)]


def test_fleet_is_full_where_the_line_meets_what_it_has() -> None:
    found = forecast({"db1": line(10, at=100, per_day=10)}, usable=200, now=NOW)
    assert found.days == 10
    assert found.per_day == pytest.approx(10)
    assert found.full_at == pytest.approx(NOW + 10 * DAY)


def test_one_odd_day_does_not_bend_the_line() -> None:
    points = line(10, at=100, per_day=10)
    points[4] = (points[4][0], 5000.0)
    assert forecast({"db1": points}, usable=200, now=NOW).full_at == pytest.approx(NOW + 10 * DAY, abs=DAY)


def test_a_host_that_is_new_brings_a_level_and_no_growth() -> None:
    old, new = line(20, at=100, per_day=2), line(9, at=50, per_day=0)
    found = forecast({"db1": old, "db2": new}, usable=250, now=NOW)
    assert found.per_day == pytest.approx(2)
    assert found.full_at == pytest.approx(NOW + 50 * DAY)


def test_what_is_placed_on_a_new_host_is_growth() -> None:
    stairs = [(at, 100 + 12 * (number // 3)) for number, (at, _) in enumerate(line(15, at=0, per_day=0))]
    found = forecast({"db1": line(20, at=100, per_day=0), "db2": stairs}, usable=1000, now=NOW)
    assert found.per_day is not None
    assert 2 < found.per_day <= 4.1


def test_steps_of_many_hosts_are_the_growth_of_the_fleet() -> None:
    stairs = {
        f"db{host}": [(at, 2 + (number >= host * 2)) for number, (at, _) in enumerate(line(28, at=0, per_day=0))]
        for host in range(14)
    }
    assert forecast(stairs, usable=1000, now=NOW).per_day == pytest.approx(0.5, rel=0.1)


def test_a_host_that_was_away_for_a_day_is_no_dip_and_one_that_left_counts_no_more() -> None:
    steady = line(20, at=100, per_day=0)
    away = [point for number, point in enumerate(steady) if number not in {9, 20}]
    left = line(20, at=100, per_day=5)[:10]
    found = forecast({"db1": steady, "db2": away, "db3": left}, usable=1000, now=NOW)
    assert (found.per_day, found.full_at) == (0.0, None)
    assert forecast({"db1": steady, "db2": away, "db3": left}, usable=200, now=NOW).full_at == NOW


def test_weekends_are_no_growth_and_a_working_day_is_the_level() -> None:
    week = [(at, 100.0 if number % 7 < 5 else 60.0) for number, (at, _) in enumerate(line(28, at=0, per_day=0))]
    for end in range(7, 29):
        moment = week[end][0]
        found = forecast({"db1": week[: end + 1]}, usable=101, now=moment)
        assert (found.per_day, found.full_at) == (0.0, None), end
        assert forecast({"db1": week[: end + 1]}, usable=99, now=moment).full_at == moment, end


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([], Forecast(days=0.0)),
        (line(9, at=50, per_day=2**-10), Forecast(days=9.0, per_day=2**-10, full_at=None)),
        (line(6, at=5, per_day=1), Forecast(days=6.0)),
        (line(9, at=50, per_day=0), Forecast(days=9.0, per_day=0.0, full_at=None)),
        (line(9, at=100, per_day=0), Forecast(days=9.0, per_day=0.0, full_at=NOW)),
    ],
)
def test_too_little_history_and_no_growth(points: list[Point], expected: Forecast) -> None:
    assert forecast({"db1": points}, usable=100, now=NOW) == expected


@pytest.mark.parametrize("query", history_queries(Path("/var/lib/vdbmon/volumes")).values())
def test_history_is_promql_over_declared_metrics(query: str) -> None:
    promql_parser.parse(query)
    assert any(name in query for name in METRICS)


def documented() -> list[tuple[Snapshot, VdbmonError | None]]:
    cordon = Cordon(None, "ann", "disks", None, NOW)
    dark = host("db3", telemetry=Telemetry(up=False, age=None))
    return [
        (snapshot(crowded(), host("db2"), dark, cordons=(cordon,)), None),
        (snapshot(), None),
        (snapshot(host("db1")), VdbmonError("prometheus.slow", "no answer")),
    ]


@pytest.mark.parametrize(("taken", "error"), documented())
def test_document_is_as_its_schema_says(taken: Snapshot, error: VdbmonError | None) -> None:
    hosts = capacity(taken)
    history = {key: {"db1": line(9, at=10, per_day=1)} for key in ResourceClass}
    growth = error or forecasts(fleet_dimensions(hosts), history, now=NOW)
    document = json.loads(json.dumps(capacity_document(NOW, hosts, growth)))
    SCHEMA.validate(document)
    shown = text(capacity_view(hosts, growth))
    assert all(item.host in shown for item in hosts)
    assert ("no forecast: no answer" in shown) == (error is not None)
    alone = text(capacity_view(hosts, growth, alone="db1"))
    assert ("db1:" in alone, "db2:" in alone, "fleet:" in alone) == (bool(hosts), False, True)


growths = st.one_of(
    st.just(VdbmonError("prometheus.slow", "no answer")),
    st.dictionaries(
        st.sampled_from(ResourceClass),
        st.dictionaries(
            st.sampled_from(["db1", "db2"]),
            st.lists(st.tuples(st.integers(-28, 0).map(lambda day: NOW + day * DAY), st.floats(0, 1e13)), max_size=30),
        ),
    ),
)


@settings(max_examples=50, deadline=None)
@given(snapshots, growths)
def test_any_fleet_with_any_history_is_told_as_the_schema_says(
    taken: Snapshot, growth: VdbmonError | dict[ResourceClass, dict[str, list[Point]]]
) -> None:
    hosts = capacity(taken)
    if not isinstance(growth, VdbmonError):
        growth = forecasts(fleet_dimensions(hosts), growth, now=NOW)  # type: ignore[assignment]
    SCHEMA.validate(json.loads(json.dumps(capacity_document(NOW, hosts, growth), allow_nan=False)))  # type: ignore[arg-type]
    assert text(capacity_view(hosts, growth))  # type: ignore[arg-type]
