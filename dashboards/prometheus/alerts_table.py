"""The table of firing alerts that close a host, or the fleet, to placement."""

from __future__ import annotations

from grafanalib.formatunits import DURATION_SECONDS

from dashboards.addresses import HOST_UID
from dashboards.prometheus.promql import closing_alerts
from dashboards.prometheus.variables import HOST_OR_FLEET
from dashboards.spec import Column, KeyLink, Table

_AGE_TITLE = "Active for"


def closing_alerts_table() -> Table:
    """One row per alert; one without a host closes the whole fleet."""
    return Table(
        slug="closing-alerts",
        title="Alerts that close placement",
        description=(
            "While one of these fires, `vdbmon place` refuses the host it names, or every host if it names none. A "
            "silence in Alertmanager changes nothing here. Follow the alert's runbook; the host opens by itself."
        ),
        height=6,
        keys=("alertname", "severity", "host"),
        sort_by=_AGE_TITLE,
        links=(KeyLink("host", HOST_UID, carried=("host",)),),
        columns=(
            Column(
                _AGE_TITLE,
                f"time() - min by (alertname, severity, host) {closing_alerts(HOST_OR_FLEET)}",
                DURATION_SECONDS,
            ),
        ),
    )
