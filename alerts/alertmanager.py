"""The Alertmanager configuration (0.25 and later): who is told, how often, and which alerts are held back.

A silence, a maintenance window or an inhibition stops a message only: the scheduler reads Prometheus. Messages are
grouped by alert, host, source and container, so that a second trouble is an incident of its own and not a line in the
first one. `critical` goes out within seconds, `warning` waits for its like, `info` goes nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from alerts.inhibitions import INHIBITIONS, Inhibition
from alerts.receivers import HEARTBEAT, NOBODY, receivers
from alerts.render import to_yaml
from alerts.rule import Severity
from alerts.settings import AlertingSettings, MaintenanceWindow, Told
from alerts.thresholds import WATCHDOG

GROUP_BY = ("alertname", "host", "source", "name")

# A page goes out within a minute of its cause: scrape, evaluation, `for` and this wait add up.
_CRITICAL_TIMING = {"group_wait": "5s", "group_interval": "1m", "repeat_interval": "4h"}
_WARNING_TIMING = {"group_wait": "30s", "group_interval": "5m", "repeat_interval": "12h"}
# repeat_interval is looked at once per group_interval and just not over at the second look: 50 s is a message each
# minute, 60 s would be one each 90 s.
_HEARTBEAT_TIMING = {"group_wait": "0s", "group_interval": "30s", "repeat_interval": "50s"}
_TIMING = {Told.CRITICAL: _CRITICAL_TIMING, Told.WARNING: _WARNING_TIMING}

Fields = dict[str, Any]


def alertmanager_file(settings: AlertingSettings) -> bytes:
    """The configuration file.

    Raises:
        ConfigError: a secret's file can't be read, or has another mode than 0600.
    """
    document: Fields = {"route": _route(settings.maintenance)}
    if settings.maintenance:
        document["time_intervals"] = [_time_interval(window) for window in settings.maintenance]
    document["inhibit_rules"] = [
        _inhibit_rule('severity="critical"', 'severity=~"warning|info"', ("alertname", "host")),
        *(_named_inhibit_rule(inhibition) for inhibition in INHIBITIONS),
    ]
    document["receivers"] = receivers(settings)
    return to_yaml(document)


def _route(windows: tuple[MaintenanceWindow, ...]) -> Fields:
    hosts = sorted({host for window in windows for host in window.hosts})
    return {
        "receiver": Told.WARNING.value,
        "group_by": list(GROUP_BY),
        **_WARNING_TIMING,
        "routes": [
            {"receiver": HEARTBEAT, "matchers": [f'alertname="{WATCHDOG}"'], **_HEARTBEAT_TIMING},
            {"receiver": NOBODY, "matchers": [f'severity="{Severity.INFO}"']},
            *(
                {"receiver": Told.WARNING.value, "matchers": [f'host="{host}"'], "routes": _by_severity(windows, host)}
                for host in hosts
            ),
            *_by_severity(windows, None),
        ],
    }


def _by_severity(windows: tuple[MaintenanceWindow, ...], host: str | None) -> list[Fields]:
    """The routes of a host that has windows of its own, or of all others."""
    return [_severity_route(told, _muting(windows, told, host)) for told in Told]


def _severity_route(told: Told, muting: list[str]) -> Fields:
    route: Fields = {"receiver": told.value, "matchers": [f'severity="{told}"'], **_TIMING[told]}
    return {**route, "mute_time_intervals": muting} if muting else route


def _muting(windows: Iterable[MaintenanceWindow], told: Told, host: str | None) -> list[str]:
    return [
        window.name for window in windows if told in window.severities and (not window.hosts or host in window.hosts)
    ]


def _time_interval(window: MaintenanceWindow) -> Fields:
    interval: Fields = {
        "times": [{"start_time": window.start, "end_time": window.end}],
        "location": window.location,
    }
    if window.weekdays:
        interval["weekdays"] = [day.value for day in window.weekdays]
    return {"name": window.name, "time_intervals": [interval]}


def _named_inhibit_rule(inhibition: Inhibition) -> Fields:
    return _inhibit_rule(
        f'alertname="{inhibition.source}"', f'alertname=~"{"|".join(inhibition.targets)}"', inhibition.equal
    )


def _inhibit_rule(source: str, target: str, equal: Iterable[str]) -> Fields:
    return {"source_matchers": [source], "target_matchers": [target], "equal": list(equal)}
