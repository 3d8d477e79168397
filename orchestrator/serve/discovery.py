"""Targets for Prometheus by its HTTP service discovery: one per agent, under its host's name.

Format: prometheus.io/docs/prometheus/latest/http_sd. The body is the whole list each time, also when it is empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from orchestrator.settings import HostSettings


def targets(hosts: Iterable[HostSettings]) -> list[dict[str, Any]]:
    """A target group per host that has an agent; zone and device class are there for relabelling."""
    return [_group(host, host.agent) for host in hosts if host.agent]


def _group(host: HostSettings, agent: str) -> dict[str, Any]:
    url = urlsplit(agent)
    labels: Mapping[str, str | None] = {
        "host": host.name,
        # With an instance made of the address, a changed port would leave two of each series for five minutes.
        "instance": host.name,
        "__scheme__": url.scheme,
        "__metrics_path__": f"{url.path.rstrip('/')}/metrics",
        "__meta_vdbmon_zone": host.zone,
        "__meta_vdbmon_device_class": host.device_class,
    }
    return {"targets": [url.netloc], "labels": {name: value for name, value in labels.items() if value}}
