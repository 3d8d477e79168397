"""The files of this room, by their path below the output folder."""

from __future__ import annotations

from alerts.alertmanager import alertmanager_file
from alerts.receivers import holds_secrets
from alerts.render import rule_file
from alerts.rules import rule_groups
from alerts.settings import AlertingSettings

RULE_FILE = "prometheus/rules/vdbmon.yml"
ALERTMANAGER_FILE = "alertmanager/alertmanager.yml"


def alert_files(settings: AlertingSettings) -> dict[str, bytes]:
    """All of them.

    Raises:
        ConfigError: a secret's file can't be read, or has another mode than 0600.
    """
    return {RULE_FILE: rule_file(rule_groups()), ALERTMANAGER_FILE: alertmanager_file(settings)}


def private_files(settings: AlertingSettings) -> frozenset[str]:
    """Those of them that nobody but Alertmanager may read."""
    return frozenset({ALERTMANAGER_FILE} if holds_secrets(settings) else ())
