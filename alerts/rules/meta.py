"""Alerts about the alerting itself: the heartbeat, Prometheus, Alertmanager. None of them belongs to a host."""

from __future__ import annotations

from alerts.foreign import (
    ALERTMANAGER_CONFIG_HASH,
    ALERTMANAGER_JOB,
    ALERTMANAGER_RELOAD_SUCCESSFUL,
    ALERTMANAGERS_DISCOVERED,
    COMPACTIONS_FAILED,
    CONFIG_RELOAD_SUCCESSFUL,
    NOTIFICATIONS,
    NOTIFICATIONS_DROPPED,
    NOTIFICATIONS_FAILED,
    PROMETHEUS_JOB,
    RULE_FAILURES,
    RULE_ITERATIONS_MISSED,
    SAMPLES_APPENDED,
    UP,
)
from alerts.rule import PERCENT, AlertRule, Closes, Severity, highest, increase, label, rate
from alerts.thresholds import (
    GATE_FOR,
    GATE_GROUP,
    KEEP_FIRING_FOR,
    NOTIFICATIONS_FAILED_RATIO,
    NOTIFICATIONS_LOST_RATIO,
)
from alerts.thresholds import WATCHDOG as WATCHDOG_NAME

_OF_GATES = f'rule_group=~".*;{GATE_GROUP}"'
_INSTANCE = label("instance")
_INTEGRATION = label("integration")


def _notifications(metric: str) -> str:
    return f"sum by (instance, integration) ({rate(metric, '5m', ALERTMANAGER_JOB)})"


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

_FAILED_SHARE = f"{_notifications(NOTIFICATIONS_FAILED)} / {_notifications(NOTIFICATIONS)}"

PROMETHEUS_RULES = (
    WATCHDOG,
    AlertRule(
        name="GateRulesFailing",
        expr=f"sum by (instance) ({increase(RULE_FAILURES, '1m', PROMETHEUS_JOB, _OF_GATES)}) > 0",
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
        expr=f"sum by (instance, rule_group) ({increase(RULE_FAILURES, '5m', PROMETHEUS_JOB)}) > 0",
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
        expr=f"max by (instance) ({highest(CONFIG_RELOAD_SUCCESSFUL, '5m', PROMETHEUS_JOB)}) == 0",
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
        expr=f"max by (instance) ({highest(ALERTMANAGERS_DISCOVERED, '5m', PROMETHEUS_JOB)}) < 1",
        for_=10 * 60,
        severity=Severity.WARNING,
        summary=f"Prometheus {_INSTANCE} knows no Alertmanager",
        description=(
            "Alerts fire and close hosts, but nobody is told. Check the section `alerting` of Prometheus' "
            "configuration."
        ),
    ),
    AlertRule(
        name="PrometheusGone",
        expr=f"max by (instance) ({highest(UP, '1m', PROMETHEUS_JOB)}) == 0",
        for_=60,
        severity=Severity.CRITICAL,
        summary=f"Prometheus {_INSTANCE} can't be scraped",
        description=(
            "Another Prometheus says so: this one is down, and with it its alerts and the gates of `vdbmon place`. If "
            "there is only one, the dead-man's switch is what tells of it."
        ),
    ),
    AlertRule(
        name="PrometheusNotIngesting",
        expr=f"sum by (instance) ({rate(SAMPLES_APPENDED, '5m', PROMETHEUS_JOB)}) == 0",
        for_=5 * 60,
        severity=Severity.CRITICAL,
        summary=f"Prometheus {_INSTANCE} stores no samples",
        description=(
            "Rules are evaluated on nothing, so no alert but the heartbeat fires. Usual causes: no targets, a full "
            "disk, a clock that jumped."
        ),
    ),
    AlertRule(
        name="PrometheusRulesTooSlow",
        expr=f"sum by (instance, rule_group) ({increase(RULE_ITERATIONS_MISSED, '5m', PROMETHEUS_JOB)}) > 0",
        for_=10 * 60,
        severity=Severity.WARNING,
        summary=f"Prometheus {_INSTANCE} leaves out evaluations of rules",
        description=(
            f"The rules of {label('rule_group')} take longer than their interval, so alerts come late. Give Prometheus "
            "more CPU, or look for a rule that selects too much."
        ),
    ),
    AlertRule(
        name="PrometheusNotificationsDropped",
        expr=f"sum by (instance) ({increase(NOTIFICATIONS_DROPPED, '5m', PROMETHEUS_JOB)}) > 0",
        for_=5 * 60,
        severity=Severity.WARNING,
        summary=f"Prometheus {_INSTANCE} gives up alerts that Alertmanager does not take",
        description=(
            "Alerts fire and close hosts, but Alertmanager does not hear of all of them: it is down, slow or refuses "
            "them. Prometheus' log has the answer it got."
        ),
    ),
    AlertRule(
        name="PrometheusCompactionsFailing",
        expr=f"sum by (instance) ({increase(COMPACTIONS_FAILED, '3h', PROMETHEUS_JOB)}) > 0",
        for_=3600,
        severity=Severity.WARNING,
        summary=f"Prometheus {_INSTANCE} can't compact its blocks",
        description=(
            "Its storage grows and it will run out of disk or memory. Usual causes: a full disk, a damaged block. "
            "Prometheus' log names the block."
        ),
    ),
)

ALERTMANAGER_RULES = (
    AlertRule(
        name="AlertmanagerGone",
        expr=f"max by (instance) ({highest(UP, '1m', ALERTMANAGER_JOB)}) == 0",
        for_=60,
        severity=Severity.CRITICAL,
        summary=f"Alertmanager {_INSTANCE} can't be scraped",
        description=(
            "If it is the only one, nobody is told of anything and this page does not arrive either: the dead-man's "
            "switch tells of it. Gates of `vdbmon place` do not need it."
        ),
    ),
    AlertRule(
        name="AlertmanagerConfigReloadFailed",
        expr=f"max by (instance) ({highest(ALERTMANAGER_RELOAD_SUCCESSFUL, '5m', ALERTMANAGER_JOB)}) == 0",
        for_=10 * 60,
        severity=Severity.CRITICAL,
        summary=f"Alertmanager {_INSTANCE} runs on an old configuration",
        description=(
            "The last reload failed: changed receivers and maintenance windows are not in effect, and the next start "
            "will fail. Check the file with `amtool check-config`."
        ),
    ),
    AlertRule(
        name="AlertmanagersDiffer",
        expr=(
            f'count by (job) (count_values by (job) ("hash", '
            f"{highest(ALERTMANAGER_CONFIG_HASH, '5m', ALERTMANAGER_JOB)})) > 1"
        ),
        for_=20 * 60,
        severity=Severity.WARNING,
        summary="The Alertmanagers have different configurations",
        description=(
            "Which of them sends a page is chance, so pages may go to the wrong receiver or twice. Bring the same file "
            "to all of them."
        ),
    ),
    AlertRule(
        name="AlertmanagerPagesLost",
        expr=f"min by (integration) ({_FAILED_SHARE}) > {NOTIFICATIONS_LOST_RATIO.value:g}",
        for_=5 * 60,
        severity=Severity.CRITICAL,
        limits=(NOTIFICATIONS_LOST_RATIO,),
        summary=f"{PERCENT} of the notifications to {_INTEGRATION} fail",
        description=(
            f"No Alertmanager gets through to {_INTEGRATION}: whoever is told that way is told nothing. Another "
            "receiver carries this page. Check the key, the way there, and the receiver's own status page."
        ),
    ),
    AlertRule(
        name="AlertmanagerNotificationsFailing",
        expr=f"{_FAILED_SHARE} > {NOTIFICATIONS_FAILED_RATIO.value:g}",
        for_=5 * 60,
        severity=Severity.WARNING,
        limits=(NOTIFICATIONS_FAILED_RATIO,),
        summary=f"Alertmanager {_INSTANCE} fails to send {PERCENT} of its {_INTEGRATION} notifications",
        description=(
            f"The receiver behind {_INTEGRATION} refuses or is unreachable. Alertmanager's log has the answer it got."
        ),
    ),
)

RULES = (*PROMETHEUS_RULES, *ALERTMANAGER_RULES)
