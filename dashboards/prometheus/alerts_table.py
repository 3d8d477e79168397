"""The tables of what closes hosts, or the fleet, to placement: firing alerts, and all that the scheduler knows."""

from __future__ import annotations

from grafanalib.formatunits import DURATION_SECONDS, NUMBER_FORMAT

from collector.fleet_metrics import HOST_CLOSED
from dashboards.addresses import HOST_UID
from dashboards.colours import CRITICAL, GOOD
from dashboards.prometheus.promql import closing_alerts
from dashboards.prometheus.variables import HOST_OR_FLEET, SERVE_HOSTS
from dashboards.spec import Column, KeyLink, Mapping, Table

_AGE_TITLE = "Active for"
OPEN = (Mapping(0, "closed", CRITICAL), Mapping(1, "open", GOOD))


def closing_alerts_table(width: int = 24) -> Table:
    """One row per alert; one without a host closes the whole fleet."""
    return Table(
        slug="closing-alerts",
        title="Alerts that close placement",
        description=(
            "While one of these fires, `vdbmon place` refuses the host it names, or every host if it names none. A "
            "silence in Alertmanager changes nothing here. Follow the alert's runbook; the host opens by itself."
        ),
        height=6,
        width=width,
        keys=("alertname", "severity", "host"),
        sort_by=_AGE_TITLE,
        links=(KeyLink("host", HOST_UID, carried=("host",)),),
        columns=(
            Column(
                _AGE_TITLE,
                f"time() - min by (alertname, severity, host) ({closing_alerts(HOST_OR_FLEET)})",
                DURATION_SECONDS,
            ),
        ),
    )


def closed_hosts_table() -> Table:
    """One row per host and code, as `vdbmon serve` says; a cordon, old telemetry or a silent engine are among them."""
    return Table(
        slug="closed",
        title="Why hosts are closed",
        description="Each code that closes a host now; docs/placement.md says what each means and what opens the host.",
        height=6,
        keys=("host", "code"),
        sort_by="Closes",
        links=(KeyLink("host", HOST_UID, carried=("host",)),),
        columns=(Column("Closes", f"max by (host, code) ({SERVE_HOSTS.gauge(HOST_CLOSED)} == 1)", NUMBER_FORMAT),),
        width=12,
    )
