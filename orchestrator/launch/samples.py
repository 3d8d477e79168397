"""Whether the monitoring sees a container: its host's agent, which measures when it is asked, or else Prometheus.

A container that nobody measures is one that fills its host unseen, so a launch isn't through before its first sample.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import requests

from collector.catalogue import cgroup
from orchestrator.settings import FleetSettings
from orchestrator.survey.prometheus import PrometheusClient, PrometheusError

_AGENT_SECONDS = 3.0
_PROMETHEUS_SECONDS = 3.0
_SCRAPED_WITHIN = "30s"

Sampled = Callable[[str, str], bool]
"""Host and name of a container: whether there is a sample of it."""


def sampled_by(fleet: FleetSettings) -> Sampled:
    """Asks the agents and the Prometheus of a fleet."""
    agents = {host.name: host.agent for host in fleet.hosts}
    client = PrometheusClient(fleet.prometheus.url, timeout=_PROMETHEUS_SECONDS)

    def sampled(host: str, name: str) -> bool:
        return _agent_has(agents.get(host), name) or _prometheus_has(client, host, name)

    return sampled


def _agent_has(url: str | None, name: str) -> bool:
    """Names of containers need no escaping in a label."""
    if url is None:
        return False
    with suppress(requests.RequestException), requests.Session() as session:
        session.trust_env = False  # a proxy for the internet is none for the fleet's own agents
        answer = session.get(f"{url.rstrip('/')}/metrics", timeout=_AGENT_SECONDS)
        mine = (line for line in answer.text.splitlines() if line.startswith(f"{cgroup.LAST_SEEN.name}{{"))
        return answer.ok and any(f'name="{name}"' in line for line in mine)
    return False


def _prometheus_has(client: PrometheusClient, host: str, name: str) -> bool:
    query = f'last_over_time({cgroup.LAST_SEEN.name}{{host="{host}",name="{name}"}}[{_SCRAPED_WITHIN}])'
    with suppress(PrometheusError):
        return bool(client.vector(query))
    return False
