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
SAMPLES_APPENDED = "prometheus_tsdb_head_samples_appended_total"
NOTIFICATIONS_DROPPED = "prometheus_notifications_dropped_total"
RULE_ITERATIONS_MISSED = "prometheus_rule_group_iterations_missed_total"
COMPACTIONS_FAILED = "prometheus_tsdb_compactions_failed_total"
NOTIFICATIONS = "alertmanager_notifications_total"
NOTIFICATIONS_FAILED = "alertmanager_notifications_failed_total"
ALERTMANAGER_RELOAD_SUCCESSFUL = "alertmanager_config_last_reload_successful"
ALERTMANAGER_CONFIG_HASH = "alertmanager_config_hash"

NAMES = frozenset(
    {
        UP,
        RULE_FAILURES,
        CONFIG_RELOAD_SUCCESSFUL,
        ALERTMANAGERS_DISCOVERED,
        SAMPLES_APPENDED,
        NOTIFICATIONS_DROPPED,
        RULE_ITERATIONS_MISSED,
        COMPACTIONS_FAILED,
        NOTIFICATIONS,
        NOTIFICATIONS_FAILED,
        ALERTMANAGER_RELOAD_SUCCESSFUL,
        ALERTMANAGER_CONFIG_HASH,
    }
)
