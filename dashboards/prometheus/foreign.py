"""Series that panels show and no alert reads: of the scrape itself, of Prometheus and of Alertmanager.

Those that alerts read as well are in `alerts.foreign`. Sources: Prometheus 2.42 and Alertmanager 0.25.
"""

from __future__ import annotations

SCRAPE_DURATION = "scrape_duration_seconds"
SCRAPE_SAMPLES = "scrape_samples_scraped"
HEAD_SERIES = "prometheus_tsdb_head_series"
RULE_GROUP_DURATION = "prometheus_rule_group_last_duration_seconds"
RULE_GROUP_LAST = "prometheus_rule_group_last_evaluation_timestamp_seconds"
ALERTS_SENT = "prometheus_notifications_sent_total"
NOTIFICATION_LATENCY = "alertmanager_notification_latency_seconds"

NAMES = frozenset(
    {
        SCRAPE_DURATION,
        SCRAPE_SAMPLES,
        HEAD_SERIES,
        RULE_GROUP_DURATION,
        RULE_GROUP_LAST,
        ALERTS_SENT,
        f"{NOTIFICATION_LATENCY}_sum",
        f"{NOTIFICATION_LATENCY}_count",
    }
)
