"""Read the gate: alert state as Prometheus has it; `orchestrator.decision.gate` says what it closes.

From Prometheus (HTTP API v1: /rules, /status/runtimeinfo, /query), never from Alertmanager: a silence stops a page, it
doesn't open a host.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from alerts.thresholds import GATE_LABEL, GATE_PLACE, SCOPE_FLEET, SCOPE_LABEL, WATCHDOG
from orchestrator.decision.snapshot import GateAlert, GateGroup, GateReading
from orchestrator.survey.prometheus import PrometheusClient, PrometheusError


def read_gate(client: PrometheusClient) -> GateReading:
    """Ask Prometheus for all that the gate needs.

    Raises:
        PrometheusError: any of it didn't come, or isn't understood.
    """
    runtime = client.get("status/runtimeinfo")
    rules = client.get("rules", type="alert")
    return parse_gate(runtime, rules, client.now())


def parse_gate(runtime: Any, rules: Any, now: float) -> GateReading:
    """Read the `data` of the two answers.

    Args:
        runtime: of /api/v1/status/runtimeinfo.
        rules: of /api/v1/rules?type=alert.
        now: Prometheus's clock.

    Raises:
        PrometheusError: they are not shaped as documented.
    """
    try:
        groups = [(group, [rule for rule in group["rules"] if _matters(rule)]) for group in rules["groups"]]
        relevant = [(group, found) for group, found in groups if found]
        gate_rules = [rule for _, found in relevant for rule in found if _is_gate(rule)]
        return GateReading(
            now=now,
            started_at=_timestamp(runtime["startTime"]) or now,
            groups=tuple(_group(group, found) for group, found in relevant),
            gate_rules=len(gate_rules),
            watchdog_firing=any(rule["name"] == WATCHDOG and _fires(rule) for _, found in relevant for rule in found),
            alerts=tuple(_alert(rule, alert) for rule in gate_rules for alert in rule["alerts"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PrometheusError(
            "prometheus.odd_answer", f"Prometheus answered something else than rules: {error!r}"
        ) from error


def _matters(rule: Mapping[str, Any]) -> bool:
    return rule["type"] == "alerting" and (rule["name"] == WATCHDOG or _is_gate(rule))


def _is_gate(rule: Mapping[str, Any]) -> bool:
    return bool(rule["labels"].get(GATE_LABEL) == GATE_PLACE)


def _fires(rule: Mapping[str, Any]) -> bool:
    return any(alert["state"] == "firing" for alert in rule["alerts"])


def _group(group: Mapping[str, Any], rules: list[Mapping[str, Any]]) -> GateGroup:
    return GateGroup(
        name=group["name"],
        evaluated_at=_timestamp(group["lastEvaluation"]),
        interval=float(group["interval"]),
        failing=tuple(rule["name"] for rule in rules if rule["health"] == "err"),
    )


def _alert(rule: Mapping[str, Any], alert: Mapping[str, Any]) -> GateAlert:
    labels = alert["labels"]
    return GateAlert(
        name=rule["name"],
        host=labels.get("host"),
        fleet=labels.get(SCOPE_LABEL) == SCOPE_FLEET,
        firing=alert["state"] != "pending",
        summary=alert["annotations"].get("summary", ""),
    )


def _timestamp(text: str) -> float | None:
    """Seconds of an RFC 3339 time; None for Go's zero time, which stands for never."""
    moment = datetime.fromisoformat(text)
    return None if moment.year == 1 else moment.timestamp()
