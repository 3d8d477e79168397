import json
from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.thresholds import GATE_FOR, RULES_STALE_AFTER, TELEMETRY_STALE_AFTER
from orchestrator.decision.decide import Decision, choose, decide
from orchestrator.decision.documents import decision_document, read_decision
from orchestrator.decision.resources import Amounts, ResourceClass
from orchestrator.decision.scoring import Score, Strategy
from orchestrator.decision.snapshot import (
    EngineState,
    GateGroup,
    Snapshot,
    Telemetry,
    Unknown,
)
from orchestrator.settings import Reach
from tests.support.decisions import (
    GIB,
    IDLE,
    NEEDED,
    NOW,
    SOURCE,
    alert,
    gate,
    host,
    request,
    snapshot,
)
from tests.support.schemas import schema
from tests.support.snapshots import amounts, snapshots

SCHEMA = schema("decision")


def test_a_host_with_room_and_an_open_gate_is_taken() -> None:
    decision = decide(snapshot(), request())
    assert decision.host == "db1"
    assert decision.why == "db1 keeps 80% free in its tightest dimension"
    assert decision.verdicts[0].reasons == ()


REFUSALS = {
    "alert.firing": snapshot(gate=gate(alerts=(alert(),))),
    "alert.scope_unknown": snapshot(gate=gate(alerts=(alert(host=None),))),
    "prometheus.unreachable": snapshot(host(telemetry=None), gate=Unknown("http://p doesn't answer: timed out")),
    "prometheus.warming_up": snapshot(gate=gate(started_at=NOW - GATE_FOR + 1)),
    "rules.missing": snapshot(gate=gate(gate_rules=0)),
    "rules.stale": snapshot(
        gate=gate(groups=(GateGroup(name="gate", evaluated_at=NOW - RULES_STALE_AFTER - 1, interval=5.0),))
    ),
    "rules.failing": snapshot(
        gate=gate(groups=(GateGroup(name="gate", evaluated_at=NOW, interval=5.0, failing=("HostDiskFilling",)),))
    ),
    "watchdog.silent": snapshot(gate=gate(watchdog_firing=False)),
    "telemetry.missing": snapshot(host(telemetry=Telemetry(up=False, age=None))),
    "telemetry.stale": snapshot(host(telemetry=replace(IDLE, age=TELEMETRY_STALE_AFTER + 1.0))),
    "engine.unreachable": snapshot(host(engine=Unknown("unix:///s doesn't answer within 3 s"))),
    "engine.unknown": snapshot(host(known_fingerprint="another")),
    "source.not_local": snapshot(host("db2")),
    "volume.host_unsupported": snapshot(host(makes_volumes=False)),
    "name.taken": snapshot(names=MappingProxyType({"b1": "db7"})),
    "capacity.slots": snapshot(host(allocated={ResourceClass.SLOTS: 5})),
    "capacity.memory": snapshot(host(telemetry=replace(IDLE, used={**IDLE.used, ResourceClass.MEMORY: 32 * GIB}))),
}


@pytest.mark.parametrize("code", REFUSALS)
def test_each_ground_refuses_by_its_code_alone(code: str) -> None:
    decision = decide(REFUSALS[code], request())
    assert decision.host is None
    assert decision.codes(decision.verdicts[0].host) == {code}
    assert all(reason.sentence for reason in decision.verdicts[0].reasons)


def test_never_evaluated_rules_are_stale() -> None:
    never = GateGroup(name="gate", evaluated_at=None, interval=5.0)
    assert decide(snapshot(gate=gate(groups=(never,))), request()).codes("db1") == {"rules.stale"}


def test_a_host_that_does_not_reach_the_source_is_refused_to_jobs_that_read_it() -> None:
    source = replace(SOURCE, reach=Reach.STREAM, host=None)
    apart = snapshot(host(reaches=frozenset({Reach.LOCAL})))
    assert decide(apart, request(source=source)).codes("db1") == {"source.reach_unsupported"}
    assert decide(apart, replace(request(source=source), job="verify")).accepted


@pytest.mark.parametrize("reach", sorted(set(Reach) - {Reach.LOCAL}))
def test_a_backup_is_not_placed_beside_its_source_and_a_restore_may_be(reach: Reach) -> None:
    source = replace(SOURCE, reach=reach, host="db1")
    both = snapshot(host("db1"), host("db2"))
    decision = decide(both, request(source=source))
    assert decision.host == "db2"
    assert decision.codes("db1") == {"source.same_host"}
    assert decide(snapshot(host("db1")), replace(request(source=source), job="verify")).accepted


def test_a_job_that_reads_backups_alone_is_not_counted_among_the_readers_of_its_source() -> None:
    source = replace(SOURCE, readers=1)
    read = snapshot(readers={source.name: 1})
    assert decide(read, request(source=source)).codes("db1") == {"source.readers"}
    assert decide(read, replace(request(source=source), job="restore")).accepted


def test_unknown_use_of_one_dimension_is_refused_by_name() -> None:
    used: Amounts = {key: value for key, value in IDLE.used.items() if key is not ResourceClass.DISK}
    decision = decide(snapshot(host(telemetry=replace(IDLE, used=used))), request())
    (reason,) = decision.verdicts[0].reasons
    assert (reason.code, reason.dimension) == ("telemetry.missing", ResourceClass.DISK)


def test_container_of_that_name_on_the_engine_is_refused() -> None:
    engine = EngineState(fingerprint="e", containers=frozenset({"b1"}))
    assert decide(snapshot(host(engine=engine)), request()).codes("db1") == {"name.taken"}


def test_pending_alert_does_not_close() -> None:
    assert decide(snapshot(gate=gate(alerts=(alert(firing=False),))), request()).accepted


def test_pending_alert_closes_while_it_may_have_fired_before_a_restart() -> None:
    warm = gate(started_at=NOW - GATE_FOR - 1, alerts=(alert(firing=False),))
    decision = decide(snapshot(gate=warm), request())
    assert decision.codes("db1") == {"prometheus.warming_up"}
    assert "HostDiskFilling" in decision.verdicts[0].reasons[0].sentence
    assert decide(snapshot(gate=gate(started_at=NOW - GATE_FOR - 1)), request()).accepted


def test_alert_of_another_host_closes_only_that_host() -> None:
    firing = gate(alerts=(alert(host="db2"),))
    decision = decide(snapshot(host("db1"), host("db2"), gate=firing), request())
    assert decision.host == "db1"
    assert decision.codes("db2") == {"alert.firing", "source.not_local"}


def test_fleet_alert_and_alert_of_an_unknown_host_close_every_host() -> None:
    for one, code in (
        (alert(host="elsewhere"), "alert.scope_unknown"),
        (alert(host=None, fleet=True), "alert.firing"),
        (alert(host="elsewhere", fleet=True), "alert.firing"),
    ):
        decision = decide(snapshot(host("db1"), host("db2"), gate=gate(alerts=(one,))), request())
        assert all(code in decision.codes(name) for name in ("db1", "db2"))


def test_capacity_reason_has_the_figures() -> None:
    full = host(allocated={ResourceClass.MEMORY: 31 * GIB + GIB // 2})
    (reason,) = decide(snapshot(full), request()).verdicts[0].reasons
    assert (reason.needed, reason.free, reason.shortfall, reason.unit) == (GIB, GIB // 2, GIB // 2, "bytes")
    assert reason.sentence == "memory: 1 GiB needed, 512 MiB free, 512 MiB short"


def test_every_ground_is_told_not_only_the_first() -> None:
    worst = host(
        "db2",
        engine=Unknown("no answer"),
        telemetry=replace(IDLE, age=999.0),
        allocated={ResourceClass.CPU: 8000, ResourceClass.DISK: 500 * GIB},
    )
    decision = decide(snapshot(worst, gate=gate(alerts=(alert(host="db2"),))), request())
    assert decision.codes("db2") == {
        "source.not_local",
        "alert.firing",
        "engine.unreachable",
        "telemetry.stale",
        "capacity.cpu",
        "capacity.disk",
    }


def test_best_score_wins_and_a_tie_goes_to_the_first_name() -> None:
    scores = {"c": Score(0.5, 0.5, 0.5, 0.0), "b": Score(0.5, 0.9, 0.9, 0.0), "a": Score(0.4, 0.4, 0.4, 0.0)}
    assert choose(scores) == "b"
    assert choose({}) is None


def test_no_hosts_is_a_refusal() -> None:
    decision = decide(replace(snapshot(), hosts=()), request())
    assert (decision.host, decision.verdicts) == (None, ())


@given(snapshots)
def test_every_host_but_the_chosen_one_has_a_reason(taken: Snapshot) -> None:
    decision = decide(taken, request())
    assert [verdict.host for verdict in decision.verdicts] == sorted(item.name for item in taken.hosts)
    for verdict in decision.verdicts:
        assert (verdict.host == decision.host) == (not verdict.reasons)
        assert all(reason.code and reason.sentence for reason in verdict.reasons)


@given(snapshots)
def test_the_chosen_host_has_room_in_every_dimension(taken: Snapshot) -> None:
    decision = decide(taken, request())
    for chosen in (item for item in taken.hosts if item.name == decision.host):
        assert all(NEEDED[key] <= chosen.free[key] for key in NEEDED)


@given(snapshots, st.randoms(use_true_random=False))
def test_the_order_of_hosts_does_not_matter(taken: Snapshot, random: object) -> None:
    shuffled = list(taken.hosts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert decide(replace(taken, hosts=tuple(shuffled)), request()) == decide(taken, request())


@given(snapshots, amounts)
def test_more_allocated_never_opens_a_host(taken: Snapshot, more: Amounts) -> None:
    fuller = replace(
        taken,
        hosts=tuple(
            replace(item, allocated={key: item.allocated.get(key, 0) + more.get(key, 0) for key in ResourceClass})
            for item in taken.hosts
        ),
    )
    assert _fitting(decide(fuller, request())) <= _fitting(decide(taken, request()))


def _fitting(decision: Decision) -> set[str]:
    return {verdict.host for verdict in decision.verdicts if verdict.fits}


@given(snapshots, st.sampled_from(Strategy))
def test_documents_of_decisions_can_be_read_again(taken: Snapshot, strategy: Strategy) -> None:
    decision = decide(taken, request(), strategy)
    document = json.loads(json.dumps(decision_document(decision)))
    assert read_decision(document) == decision
    SCHEMA.validate(document)
