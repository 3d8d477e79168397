"""Dashboards whose data source is Prometheus."""

from __future__ import annotations

from dashboards.prometheus import (
    capacity,
    container,
    docker_engines,
    fleet,
    host,
    itself,
    jobs,
    network,
    storage,
)
from dashboards.spec import Dashboard


def dashboards() -> tuple[Dashboard, ...]:
    """All of them; a new one is one file and one line here."""
    return (
        fleet.dashboard(),
        host.dashboard(),
        container.dashboard(),
        jobs.dashboard(),
        network.dashboard(),
        storage.dashboard(),
        docker_engines.dashboard(),
        capacity.dashboard(),
        itself.dashboard(),
    )
