"""The gate: alert state of Prometheus, and what it closes.

Read from Prometheus (HTTP API v1: /rules, /status/runtimeinfo, /query), never from Alertmanager: a silence stops a
page, it doesn't open a host. Closed unless known: whatever keeps an alert from being seen closes the fleet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from alerts.thresholds import (
    GATE_FOR,
    GATE_LABEL,
    GATE_PLACE,
    RULES_STALE_AFTER,
    SCOPE_FLEET,
    SCOPE_LABEL,
    WATCHDOG,
)
from orchestrator.prometheus import PrometheusClient, PrometheusError
from orchestrator.reasons import Code, Reason
from orchestrator.snapshot import GateAlert, GateGroup, GateReading, Unknown

_WARM_UP_INTERVALS = 3
"""Evaluations until an alert that fires steadily fires again after a restart, besides its `for`: the first scrape, the
first evaluation, and the one that ends the `for`. Scrapes are taken to be no rarer than evaluations."""


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


def gate_reasons(gate: GateReading | Unknown, host: str, known: frozenset[str]) -> Iterator[Reason]:
    """All that the gate has against a host; `known` are the names of all hosts of the fleet."""
    if isinstance(gate, Unknown):
        yield Reason(code=Code.PROMETHEUS_UNREACHABLE, sentence=gate.sentence)
        return
    yield from _blindness(gate)
    restarting = gate.now - gate.started_at < GATE_FOR + _WARM_UP_INTERVALS * _longest_interval(gate)
    for alert in sorted(gate.alerts, key=lambda item: (item.name, item.host or "")):
        reason = _alert_reason(alert, host, known, restarting=restarting)
        if reason is not None:
            yield reason


def _blindness(gate: GateReading) -> Iterator[Reason]:
    """What keeps alerts from being seen."""
    age = gate.now - gate.started_at
    if age < GATE_FOR:
        sentence = f"Prometheus runs for {age:.0f} s; alerts that fired before are back after {GATE_FOR} s"
        yield Reason(code=Code.PROMETHEUS_WARMING_UP, sentence=sentence)
    if not gate.gate_rules:
        sentence = f"Prometheus has no rule with {GATE_LABEL}={GATE_PLACE}: load the files of `vdbmon alerts build`"
        yield Reason(code=Code.RULES_MISSING, sentence=sentence)
    for group in gate.groups:
        if group.evaluated_at is None:
            yield Reason(code=Code.RULES_STALE, sentence=f"rule group {group.name} was never evaluated")
        elif gate.now - group.evaluated_at > RULES_STALE_AFTER:
            sentence = f"rule group {group.name} was last evaluated {gate.now - group.evaluated_at:.0f} s ago"
            yield Reason(code=Code.RULES_STALE, sentence=sentence)
        if group.failing:
            sentence = f"Prometheus can't evaluate {', '.join(group.failing)}"
            yield Reason(code=Code.RULES_FAILING, sentence=sentence)
    if not gate.watchdog_firing:
        yield Reason(code=Code.WATCHDOG_SILENT, sentence=f"alert {WATCHDOG}, which always fires, doesn't")


def _alert_reason(alert: GateAlert, host: str, known: frozenset[str], *, restarting: bool) -> Reason | None:
    if not alert.firing and not restarting:
        return None
    suffix = f": {alert.summary}" if alert.summary else ""
    if not alert.fleet and alert.host not in known:
        where = "no host" if alert.host is None else f"the unknown host {alert.host}"
        sentence = f"alert {alert.name} names {where}, which closes the fleet{suffix}"
        return Reason(code=Code.ALERT_SCOPE_UNKNOWN, sentence=sentence)
    if not alert.fleet and alert.host != host:
        return None
    if not alert.firing:
        sentence = f"Prometheus restarted and alert {alert.name} is pending; it may have fired before{suffix}"
        return Reason(code=Code.PROMETHEUS_WARMING_UP, sentence=sentence)
    return Reason(code=Code.ALERT_FIRING, sentence=f"alert {alert.name} fires{suffix}")


def _longest_interval(gate: GateReading) -> float:
    return max((group.interval for group in gate.groups), default=0.0)


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
