"""Marks in the graphs: containers that were placed, backups that ended well, alerts that fired."""

from __future__ import annotations

from collector import catalogue
from dashboards.colours import CRITICAL, GOOD, NEUTRAL
from dashboards.prometheus.promql import Scope, firing_alerts
from dashboards.prometheus.variables import EVERY_HOST, HOST_OR_FLEET, ONE_CONTAINER, ONE_HOST
from dashboards.spec import Annotation

_PLACED_BY_VDBMON = 'request_id!=""'


def _marks(scope: Scope) -> tuple[Annotation, ...]:
    identity = f"max by (host, name, source, backup_job) ({scope.gauge(catalogue.containers.INFO, _PLACED_BY_VDBMON)})"
    started = f"max by (host, name) ({scope.gauge(catalogue.cgroup.START_TIME)})"
    succeeded = f"max by (host, name, source, backup_job) ({scope.gauge(catalogue.job.LAST_SUCCESS)})"
    return (
        Annotation(
            "Placements",
            f"1000 * {identity} * on (host, name) group_left () {started}",
            "{{name}} placed on {{host}}",
            ("source", "backup_job"),
            NEUTRAL,
            is_moment=True,
        ),
        Annotation(
            "Backups",
            f"1000 * {succeeded}",
            "{{backup_job}} of {{source}} done",
            ("host", "name"),
            GOOD,
            is_moment=True,
        ),
        Annotation("Alerts", firing_alerts(HOST_OR_FLEET), "{{alertname}} {{host}}", ("severity", "name"), CRITICAL),
    )


FLEET_MARKS = _marks(EVERY_HOST)
HOST_MARKS = _marks(ONE_HOST)
CONTAINER_MARKS = _marks(ONE_CONTAINER)
