"""Dashboards whose data source is InfluxDB, in InfluxQL, which 1.x and 2.x both serve."""

from __future__ import annotations

from dashboards.influxdb import container, fleet, host, network
from dashboards.spec import Dashboard


def dashboards() -> tuple[Dashboard, ...]:
    """All of them; a new one is one file and one line here."""
    return (fleet.dashboard(), host.dashboard(), container.dashboard(), network.dashboard())
