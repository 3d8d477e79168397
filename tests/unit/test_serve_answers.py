"""What serve says, without a server: samples, targets, API documents."""

import json
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from collector import fleet_metrics as fleet
from collector.catalogue import FLEET_METRICS
from collector.errors import VdbmonError
from collector.metrics import Metric, Sample
from collector.projections.prometheus import Exposition
from collector.web.server import Request
from orchestrator.capacity.figures import capacity
from orchestrator.decision.addresses import PoolUse
from orchestrator.decision.decide import decide
from orchestrator.decision.documents import decision_document
from orchestrator.decision.resources import MILLI, ResourceClass
from orchestrator.decision.snapshot import Cordon, Unknown
from orchestrator.ledger import Event, LaunchState
from orchestrator.serve.api import (
    MOST_DECISIONS,
    DecisionQuery,
    api_page,
    capacity_answer,
    decisions_document,
    parse_decision_query,
)
from orchestrator.serve.beat import BeatState
from orchestrator.serve.discovery import targets
from orchestrator.serve.findings import Findings, FleetCapacity, Group
from orchestrator.serve.metrics import beat_samples, fleet_samples
from orchestrator.serve.tasks import TaskState
from orchestrator.settings import HostSettings, Inventory, PoolSettings
from tests.support.placing import GIB, NOW, host, job, request, shares, snapshot
from tests.support.schemas import schema

POOL = PoolSettings(name="backup", range=IPv4Network("10.20.0.0/28"), gateway=IPv4Address("10.20.0.1"))
NEEDED = shares(host("x").inventory, {ResourceClass.SLOTS: 0.1, ResourceClass.CPU: 0.25})


def findings(*, fresh: bool = True) -> Findings:
    """A fleet of two hosts, one of them cordoned and without an engine."""
    age = 60.0 if fresh else -1.0
    found = Findings(stale_after=age, leaks_stale_after=age, history_stale_after=60.0)
    closed = Cordon(host="b", who="ann", why="disk", until=None, since=NOW)
    fleet_now = snapshot(host("a", jobs=(job(1, NEEDED),)), host("b", engine=Unknown("gone")), cordons=(closed,))
    found.capacity.put(
        FleetCapacity(
            taken_at=NOW,
            hosts=capacity(fleet_now),
            engines={"a": True, "b": False},
            pools={POOL.name: PoolUse(pool=POOL, total=10, held=6, resting=1)},
        ),
    )
    found.launches.put({("a", LaunchState.RUNNING): Group(1, NOW - 5), ("gone", LaunchState.DONE): Group(2, NOW - 9)})
    found.leaks.put({("a", "container"): Group(3, NOW - 100)})
    days = [(NOW - day * 86400, float((100 - day) * GIB)) for day in range(20)]
    found.history.put({ResourceClass.MEMORY: {"a": days}})
    found.counts.refusals.update(["capacity.cpu", "engine.unreachable"])
    found.counts.decisions.update(["refused", "accepted", "accepted"])
    return found


def values(samples: Iterable[Sample], metric: Metric) -> dict[tuple[str, ...], float]:
    return {sample.labels: sample.value for sample in samples if sample.metric is metric}


def test_capacity_is_told_per_host_and_class_in_base_units() -> None:
    samples = list(fleet_samples(findings(), ["a", "b"], NOW))
    cpu = ("a", "cpu")
    total, allocated, free = (values(samples, item)[cpu] for item in (fleet.INVENTORY, fleet.ALLOCATED, fleet.FREE))
    assert (total, allocated) == (16.0, NEEDED[ResourceClass.CPU] / MILLI)
    assert free < total - allocated
    assert values(samples, fleet.USED)["a", "memory"] == 0
    assert ("a", "slots") not in values(samples, fleet.USED)
    assert values(samples, fleet.HOST_OPEN) == {("a",): 1.0, ("b",): 0.0}
    assert set(values(samples, fleet.HOST_CLOSED)) == {("b", "host.cordoned"), ("b", "engine.unreachable")}
    assert values(samples, fleet.ENGINE_UP) == {("a",): 1.0, ("b",): 0.0}
    assert values(samples, fleet.FULL_AT)["memory",] > NOW
    addresses = {("backup", "free"): 3, ("backup", "held"): 6, ("backup", "resting"): 1}
    assert values(samples, fleet.ADDRESSES) == addresses


def test_launches_leaks_and_counts_are_told() -> None:
    samples = list(fleet_samples(findings(), ["a", "b"], NOW))
    launches = values(samples, fleet.LAUNCHES)
    assert (launches["a", "running"], launches["b", "running"], launches["gone", "done"]) == (1, 0, 2)
    assert values(samples, fleet.OLDEST_LAUNCH) == {("a", "running"): NOW - 5, ("gone", "done"): NOW - 9}
    assert values(samples, fleet.LEAKS) == {("a", "container"): 3}
    assert values(samples, fleet.OLDEST_LEAK) == {("a", "container"): NOW - 100}
    assert values(samples, fleet.DECISIONS) == {("accepted",): 2, ("refused",): 1}
    refusals = values(samples, fleet.REFUSALS)
    assert (refusals["capacity.cpu",], refusals["alert.firing",]) == (1, 0)
    assert not [code for (code,) in refusals if code.startswith("score.")]


def test_what_was_not_read_lately_is_left_out() -> None:
    names = {sample.metric for sample in fleet_samples(findings(fresh=False), ["a", "b"], NOW)}
    assert names == {fleet.DECISIONS, fleet.REFUSALS, fleet.RECONCILED, fleet.PRUNED}


def test_what_a_task_tells_is_exported_until_it_tells_something_else() -> None:
    found = findings()
    for number in (1, 2):
        found.tell("schedules", [fleet.ENTRIES.sample(number, "a test's")])
    assert values(fleet_samples(found, [], NOW), fleet.ENTRIES) == {("a test's",): 2}


def test_every_sample_is_declared_and_renders_without_a_host_of_its_own() -> None:
    task = TaskState(name="survey", error=None, duration=0.1, last_success=NOW, errors=0)
    beat = BeatState(ended_at=NOW, duration=0.2, successful=True)
    samples = [*beat_samples(beat, [task]), *fleet_samples(findings(), ["a", "b"], NOW)]
    assert {sample.metric.name for sample in samples} <= set(FLEET_METRICS)
    exposition = Exposition(None)
    text = exposition.render(samples).decode()
    assert exposition.duplicates == 0
    assert "\nvdbmon_serve_beat_successful{} 1.0\n" in text
    assert '\nvdbmon_placement_host_open{host="b"} 0.0\n' in text


def test_targets_are_the_agents_under_their_hosts_names() -> None:
    rows = Inventory(cpus=1, memory=1, disk=1, read_bps=1, write_bps=1)
    hosts = (
        HostSettings(name="db1", agent="https://10.0.0.11:9273", inventory=rows, zone="a"),
        HostSettings(name="db2", agent="http://proxy/db2/", inventory=rows),
        HostSettings(name="db3", inventory=rows),
    )
    assert targets(hosts) == [
        {
            "targets": ["10.0.0.11:9273"],
            "labels": {
                "host": "db1",
                "instance": "db1",
                "__scheme__": "https",
                "__metrics_path__": "/metrics",
                "__meta_vdbmon_zone": "a",
            },
        },
        {
            "targets": ["proxy"],
            "labels": {
                "host": "db2",
                "instance": "db2",
                "__scheme__": "http",
                "__metrics_path__": "/db2/metrics",
            },
        },
    ]


def test_capacity_is_answered_as_its_schema_says() -> None:
    answer = json.loads(json.dumps(capacity_answer(findings(), now=NOW)))
    schema("capacity").validate(answer)
    assert answer["forecast"]["memory"]["per_day"] == pytest.approx(GIB)
    assert [one["host"] for one in answer["hosts"]] == ["a", "b"]


def test_capacity_that_is_not_known_is_said_to_be() -> None:
    page = api_page(lambda _: capacity_answer(findings(fresh=False), now=NOW))
    answer = page(Request("", ""))
    assert answer.status == 503
    assert json.loads(answer.body)["error"]["code"] == "capacity.unknown"


def test_decisions_are_answered_as_their_schema_says() -> None:
    document = decision_document(decide(snapshot(host("a")), request("full", {ResourceClass.CPU: 10**6})))
    event = Event(at=NOW, kind="decision", request_id="r1", name="full", who="ann", detail=document)
    answer = json.loads(json.dumps(decisions_document(((7, event), (5, event)), 2)))
    schema("decisions").validate(answer)
    assert [entry["number"] for entry in answer["decisions"]] == [7, 5]
    assert answer["next"] == 5
    assert decisions_document(((7, event),), 2)["next"] is None


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("", DecisionQuery()),
        ("name=orders-full&limit=5", DecisionQuery(name="orders-full", limit=5)),
        ("before=12&limit=100000", DecisionQuery(before=12, limit=MOST_DECISIONS)),
    ],
)
def test_questions_for_decisions(query: str, asked: DecisionQuery) -> None:
    assert parse_decision_query(query) == asked


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "before=x", "before=", "limit=99999999999", "host=a"])
def test_a_wrong_question_is_told_from_a_ledger_that_is_away(query: str) -> None:
    def asked(_: Request) -> Any:
        return parse_decision_query(query)

    assert api_page(asked)(Request("", "")).status == 400

    def away(_: Request) -> Any:
        raise VdbmonError("ledger.unavailable", "the ledger is away", "see [ledger] url")

    answer = api_page(away)(Request("", ""))
    assert answer.status == 503
    assert json.loads(answer.body) == {
        "error": {"code": "ledger.unavailable", "message": "the ledger is away", "remedy": "see [ledger] url"}
    }
