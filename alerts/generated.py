"""The files of this room, by their path below the output folder."""

from __future__ import annotations

from alerts.alertmanager import alertmanager_file
from alerts.render import rule_file
from alerts.rules import rule_groups

RULE_FILE = "prometheus/rules/vdbmon.yml"
ALERTMANAGER_FILE = "alertmanager/alertmanager.yml"


def alert_files(webhook_url: str) -> dict[str, bytes]:
    """All of them.

    Raises:
        ConfigError: the URL can't be used.
    """
    return {RULE_FILE: rule_file(rule_groups()), ALERTMANAGER_FILE: alertmanager_file(webhook_url)}
