"""What alerts close, and what keeps them from being seen: reasons against hosts, from what Prometheus said.

Closed unless known: whatever keeps an alert from being seen closes the fleet.
"""

from __future__ import annotations

from collections.abc import Iterator

from alerts.thresholds import GATE_FOR, GATE_LABEL, GATE_PLACE, RULES_STALE_AFTER, WATCHDOG
from orchestrator.decision.reasons import NONE, Closures, Code, Reason, Reasons
from orchestrator.decision.snapshot import GateAlert, GateReading, Unknown

_WARM_UP_INTERVALS = 3
"""Evaluations until an alert that fires steadily fires again after a restart, besides its `for`: the first scrape, the
first evaluation, and the one that ends the `for`. Scrapes are taken to be no rarer than evaluations."""


def gate_reasons(gate: GateReading | Unknown, known: frozenset[str]) -> Closures:
    """All that the gate has against hosts; `known` are the names of all hosts of the fleet."""
    if isinstance(gate, Unknown):
        return Closures(fleet=(Reason(code=Code.PROMETHEUS_UNREACHABLE, text=gate.sentence),), hosts={})
    fleet = list(_blindness(gate))
    hosts: dict[str, Reasons] = {}
    restarting = gate.now - gate.started_at < GATE_FOR + _WARM_UP_INTERVALS * _longest_interval(gate)
    for alert in sorted(gate.alerts, key=lambda item: (item.name, item.host or "")):
        if not alert.firing and not restarting:
            continue
        if alert.fleet or alert.host is None or alert.host not in known:
            fleet.append(_fleet_reason(alert))
        else:
            hosts[alert.host] = (*hosts.get(alert.host, NONE), _firing_reason(alert))
    return Closures(fleet=tuple(fleet), hosts=hosts)


def _blindness(gate: GateReading) -> Iterator[Reason]:
    """What keeps alerts from being seen."""
    age = gate.now - gate.started_at
    if age < GATE_FOR:
        sentence = f"Prometheus runs for {age:.0f} s; alerts that fired before are back after {GATE_FOR} s"
        yield Reason(code=Code.PROMETHEUS_WARMING_UP, text=sentence)
    if not gate.gate_rules:
        sentence = f"Prometheus has no rule with {GATE_LABEL}={GATE_PLACE}: load the files of `vdbmon alerts build`"
        yield Reason(code=Code.RULES_MISSING, text=sentence)
    for group in gate.groups:
        if group.evaluated_at is None:
            yield Reason(code=Code.RULES_STALE, text=f"rule group {group.name} was never evaluated")
        elif gate.now - group.evaluated_at > RULES_STALE_AFTER:
            sentence = f"rule group {group.name} was last evaluated {gate.now - group.evaluated_at:.0f} s ago"
            yield Reason(code=Code.RULES_STALE, text=sentence)
        if group.failing:
            sentence = f"Prometheus can't evaluate {', '.join(group.failing)}"
            yield Reason(code=Code.RULES_FAILING, text=sentence)
    if not gate.watchdog_firing:
        yield Reason(code=Code.WATCHDOG_SILENT, text=f"alert {WATCHDOG}, which always fires, doesn't")


def _fleet_reason(alert: GateAlert) -> Reason:
    if alert.fleet:
        return _firing_reason(alert)
    where = "no host" if alert.host is None else f"the unknown host {alert.host}"
    text = f"alert {alert.name} names {where}, which closes the fleet{_summary(alert)}"
    return Reason(code=Code.ALERT_SCOPE_UNKNOWN, text=text)


def _firing_reason(alert: GateAlert) -> Reason:
    if alert.firing:
        return Reason(code=Code.ALERT_FIRING, text=f"alert {alert.name} fires{_summary(alert)}")
    text = f"Prometheus restarted and alert {alert.name} is pending; it may have fired before{_summary(alert)}"
    return Reason(code=Code.PROMETHEUS_WARMING_UP, text=text)


def _summary(alert: GateAlert) -> str:
    return f": {alert.summary}" if alert.summary else ""


def _longest_interval(gate: GateReading) -> float:
    return max((group.interval for group in gate.groups), default=0.0)
