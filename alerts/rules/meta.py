"""Alerts about the alerting itself: the heartbeat, Prometheus, Alertmanager. None of them belongs to a host."""

from __future__ import annotations

from alerts.foreign import (
    ALERTMANAGER_JOB,
    ALERTMANAGERS_DISCOVERED,
    CONFIG_RELOAD_SUCCESSFUL,
    NOTIFICATIONS,
    NOTIFICATIONS_FAILED,
    PROMETHEUS_JOB,
    RULE_FAILURES,
)
from alerts.rule import PERCENT, AlertRule, Closes, Severity, label, selector
from alerts.thresholds import GATE_FOR, GATE_GROUP, KEEP_FIRING_FOR, NOTIFICATIONS_FAILED_RATIO
from alerts.thresholds import WATCHDOG as WATCHDOG_NAME

_GATE_RULE_FAILURES = selector(RULE_FAILURES, PROMETHEUS_JOB, f'rule_group=~".*;{GATE_GROUP}"')
_INSTANCE = label("instance")
_INTEGRATION = label("integration")


def _notifications(metric: str) -> str:
    return f"sum by (instance, integration) (rate({selector(metric, ALERTMANAGER_JOB)}[5m]))"


WATCHDOG = AlertRule(
    name=WATCHDOG_NAME,
    expr="vector(1)",
    severity=Severity.NONE,
    summary="Heartbeat: alerting works from end to end",
    description=(
        "Always firing. Whoever receives it must raise the alarm when it stops coming, and `vdbmon place` refuses "
        "while it is missing."
    ),
)

RULES = (
    WATCHDOG,
    AlertRule(
        name="GateRulesFailing",
        expr=f"sum by (instance) (increase({_GATE_RULE_FAILURES}[1m])) > 0",
        for_=GATE_FOR,
        keep_firing_for=KEEP_FIRING_FOR,
        severity=Severity.CRITICAL,
        closes=Closes.FLEET,
        summary=f"Prometheus {_INSTANCE} can't evaluate a gate rule",
        description=(
            f"A rule of the group {GATE_GROUP} fails, so its silence means nothing and no backup is placed anywhere. "
            "The rules page of Prometheus shows the error beside the rule."
        ),
    ),
    AlertRule(
        name="PrometheusRuleFailures",
        expr=f"sum by (instance, rule_group) (increase({selector(RULE_FAILURES, PROMETHEUS_JOB)}[5m])) > 0",
        for_=15 * 60,
        severity=Severity.CRITICAL,
        summary=f"Prometheus {_INSTANCE} fails to evaluate rules",
        description=(
            f"Rules of {label('rule_group')} fail, so alerts may be missing. The rules page of Prometheus shows the "
            "error beside the rule."
        ),
    ),
    AlertRule(
        name="PrometheusConfigReloadFailed",
        expr=f"max by (instance) (max_over_time({selector(CONFIG_RELOAD_SUCCESSFUL, PROMETHEUS_JOB)}[5m])) == 0",
        for_=10 * 60,
        severity=Severity.CRITICAL,
        summary=f"Prometheus {_INSTANCE} runs on an old configuration",
        description=(
            "The last reload failed: new hosts and rules are not in effect, and the next start will fail. Check the "
            "file with `promtool check config`."
        ),
    ),
    AlertRule(
        name="PrometheusNotConnectedToAlertmanager",
        expr=f"max by (instance) (max_over_time({selector(ALERTMANAGERS_DISCOVERED, PROMETHEUS_JOB)}[5m])) < 1",
        for_=10 * 60,
        severity=Severity.WARNING,
        summary=f"Prometheus {_INSTANCE} knows no Alertmanager",
        description=(
            "Alerts fire and close hosts, but nobody is told. Check the section `alerting` of Prometheus' "
            "configuration."
        ),
    ),
    AlertRule(
        name="AlertmanagerNotificationsFailing",
        expr=(
            f"{_notifications(NOTIFICATIONS_FAILED)} / {_notifications(NOTIFICATIONS)} > "
            f"{NOTIFICATIONS_FAILED_RATIO.value:g}"
        ),
        for_=5 * 60,
        severity=Severity.WARNING,
        summary=f"Alertmanager {_INSTANCE} fails to send {PERCENT} of its {_INTEGRATION} notifications",
        description=(
            f"The receiver behind {_INTEGRATION} refuses or is unreachable. Alertmanager's log has the answer it got."
        ),
    ),
)
