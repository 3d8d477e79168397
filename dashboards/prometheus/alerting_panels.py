"""Prometheus and Alertmanager, as far as alerts depend on them."""

from __future__ import annotations

from grafanalib.formatunits import COUNTS_PER_SEC, SECONDS, SHORT

from alerts import foreign
from dashboards.panels import lines
from dashboards.prometheus.foreign import ALERTS_SENT, HEAD_SERIES, NOTIFICATION_LATENCY, RULE_GROUP_DURATION
from dashboards.spec import Panel, Query


def alerting_panels() -> tuple[Panel, ...]:
    """Rules, storage, and the way from a rule to whoever is told."""
    prometheus = foreign.PROMETHEUS_JOB
    return (
        lines(
            "rule-failures",
            "Rules that fail",
            "By group. Anything: alerts may be missing; Prometheus' rules page shows the error beside the rule.",
            Query(
                f"sum by (rule_group) (rate({foreign.RULE_FAILURES}{{{prometheus}}}[$__rate_interval]))",
                "{{rule_group}}",
            ),
            unit=COUNTS_PER_SEC,
        ),
        lines(
            "rule-duration",
            "Time of rule groups",
            "Near a group's interval its alerts come late: Prometheus lacks CPU, or a rule is too dear.",
            Query(f"max by (rule_group) ({RULE_GROUP_DURATION}{{{prometheus}}})", "{{rule_group}}"),
            unit=SECONDS,
        ),
        lines(
            "head-series",
            "Series in Prometheus",
            (
                "Grows with containers and their churn. A climb that never falls: a label changes at each restart; "
                "find it."
            ),
            Query(f"max by (instance) ({HEAD_SERIES}{{{prometheus}}})", "{{instance}}"),
            unit=SHORT,
        ),
        *_alertmanager(),
    )


def _alertmanager() -> tuple[Panel, ...]:
    prometheus, alertmanager = foreign.PROMETHEUS_JOB, foreign.ALERTMANAGER_JOB
    return (
        lines(
            "alerts-sent",
            "Alerts to Alertmanager",
            "Sent and lost on the way. No Alertmanager found: alerts fire and nobody is told; check `alerting`.",
            Query(f"sum(rate({ALERTS_SENT}{{{prometheus}}}[$__rate_interval]))", "sent"),
            Query(f"max({foreign.ALERTMANAGERS_DISCOVERED}{{{prometheus}}})", "Alertmanagers"),
            unit=SHORT,
        ),
        lines(
            "notifications",
            "Notifications",
            (
                "By integration. Failed ones are tried again; a steady rate: its receiver refuses, read "
                "Alertmanager's log."
            ),
            Query(
                f"sum by (integration) (rate({foreign.NOTIFICATIONS}{{{alertmanager}}}[$__rate_interval]))",
                "{{integration}}",
            ),
            Query(
                f"sum by (integration) (rate({foreign.NOTIFICATIONS_FAILED}{{{alertmanager}}}[$__rate_interval]))",
                "{{integration}} failed",
            ),
            unit=COUNTS_PER_SEC,
        ),
        lines(
            "notification-latency",
            "Time of a notification",
            "Mean time until the receiver had it. Seconds: the way to it is slow, and pages come late.",
            Query(
                f"sum by (integration) (rate({NOTIFICATION_LATENCY}_sum{{{alertmanager}}}[$__rate_interval])) / "
                f"(sum by (integration) (rate({NOTIFICATION_LATENCY}_count{{{alertmanager}}}[$__rate_interval])) > 0)",
                "{{integration}}",
            ),
            unit=SECONDS,
        ),
    )
