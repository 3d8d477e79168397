"""Series that the agent does not emit: those of the scrape itself, of Prometheus and of Alertmanager.

Sources: Prometheus 2.42 and Alertmanager 0.25, each scraped under its own job name.
"""

from __future__ import annotations

AGENT_JOB = 'job="vdbmon"'
PROMETHEUS_JOB = 'job="prometheus"'
ALERTMANAGER_JOB = 'job="alertmanager"'

UP = "up"
RULE_FAILURES = "prometheus_rule_evaluation_failures_total"
CONFIG_RELOAD_SUCCESSFUL = "prometheus_config_last_reload_successful"
ALERTMANAGERS_DISCOVERED = "prometheus_notifications_alertmanagers_discovered"
NOTIFICATIONS = "alertmanager_notifications_total"
NOTIFICATIONS_FAILED = "alertmanager_notifications_failed_total"

NAMES = frozenset(
    {
        UP,
        RULE_FAILURES,
        CONFIG_RELOAD_SUCCESSFUL,
        ALERTMANAGERS_DISCOVERED,
        NOTIFICATIONS,
        NOTIFICATIONS_FAILED,
    }
)
