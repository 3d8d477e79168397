import copy
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.decision.snapshot import GateAlert, GateGroup
from orchestrator.survey.gate import parse_gate
from orchestrator.survey.prometheus import PrometheusError

RUNTIME = {"startTime": "2026-11-23T05:00:00.123456789Z"}
NOW = 1795410015.0  # 05:00:15


def rule(name: str, *alerts: dict[str, Any], **labels: str) -> dict[str, Any]:
    return {"type": "alerting", "name": name, "labels": labels, "alerts": list(alerts), "health": "ok"}


def active(state: str, **labels: str) -> dict[str, Any]:
    return {"state": state, "labels": labels, "annotations": {"summary": "full"}, "activeAt": "2026-11-23T05:00:02Z"}


def rules(*items: dict[str, Any]) -> dict[str, Any]:
    group = {"name": "gate", "interval": 5, "lastEvaluation": "2026-11-23T07:00:10.5+02:00", "rules": list(items)}
    return {"groups": [group]}


ANSWER = rules(
    rule("Watchdog", active("firing")),
    rule("HostDiskFilling", active("firing", host="db1"), active("pending", host="db2"), gate="place"),
    rule("LedgerGone", active("firing", scope="fleet"), gate="place"),
    rule("SomethingElse", active("firing", host="db1")),
)


def test_reads_what_the_gate_needs_and_nothing_else() -> None:
    reading = parse_gate(RUNTIME, ANSWER, NOW)
    assert reading.started_at == pytest.approx(NOW - 14.876544)
    assert reading.groups == (GateGroup(name="gate", evaluated_at=NOW - 4.5, interval=5.0),)
    assert reading.watchdog_firing
    assert reading.gate_rules == 2
    assert reading.alerts == (
        GateAlert(name="HostDiskFilling", host="db1", fleet=False, firing=True, summary="full"),
        GateAlert(name="HostDiskFilling", host="db2", fleet=False, firing=False, summary="full"),
        GateAlert(name="LedgerGone", host=None, fleet=True, firing=True, summary="full"),
    )


def test_groups_without_gate_rules_may_be_stale() -> None:
    answer = rules(rule("SomethingElse"))
    answer["groups"][0]["lastEvaluation"] = "0001-01-01T00:00:00Z"
    assert parse_gate(RUNTIME, answer, NOW).groups == ()


def test_never_evaluated_and_failing_rules_are_seen() -> None:
    broken = rule("HostDiskFilling", gate="place") | {"health": "err"}
    answer = rules(broken)
    answer["groups"][0]["lastEvaluation"] = "0001-01-01T00:00:00Z"
    (group,) = parse_gate(RUNTIME, answer, NOW).groups
    assert (group.evaluated_at, group.failing) == (None, ("HostDiskFilling",))


@pytest.mark.parametrize("state", ["pending", "inactive"])
def test_watchdog_must_fire(state: str) -> None:
    assert not parse_gate(RUNTIME, rules(rule("Watchdog", active(state))), NOW).watchdog_firing


def _paths(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(found for key, value in children for found in _paths(value, (*path, key)))]


def test_odd_answers_have_a_code() -> None:
    with pytest.raises(PrometheusError, match="something else than rules") as caught:
        parse_gate(RUNTIME, {"groups": [{}]}, NOW)
    assert caught.value.code == "prometheus.odd_answer"


def test_a_state_that_is_not_known_counts_as_firing() -> None:
    answer = rules(rule("HostDiskFilling", active("unheard-of", host="db1"), gate="place"))
    assert parse_gate(RUNTIME, answer, NOW).alerts[0].firing


@given(st.sampled_from(_paths(ANSWER)), st.sampled_from([None, 0, "x", [], {}, [0], {"a": 1}]))
def test_any_damage_is_an_error_or_a_reading_never_another_exception(path: tuple[Any, ...], value: Any) -> None:
    damaged: Any = copy.deepcopy({"root": ANSWER})
    target, key = damaged, "root"
    for part in path:
        target, key = target[key], part
    target[key] = value
    with suppress(PrometheusError):
        assert parse_gate(RUNTIME, damaged["root"], NOW).now == NOW
