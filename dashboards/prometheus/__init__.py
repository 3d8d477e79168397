"""Dashboards whose data source is Prometheus."""

from __future__ import annotations

from dashboards.prometheus import container, fleet, host
from dashboards.spec import Dashboard


def dashboards() -> tuple[Dashboard, ...]:
    """All of them; a new one is one file and one line here."""
    return (fleet.dashboard(), host.dashboard(), container.dashboard())
