"""Limits of a container on another host: its cgroup can't be read from here.

The engine tells what it was asked for, which proves nothing of the kernel. The host's agent reads the cgroup: its
series of the container are the proof, as soon as Prometheus has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from typing import Protocol

import requests

from collector.catalogue import cgroup
from collector.exposition_text import parse_line
from orchestrator.decision.resources import MILLI
from orchestrator.engines.engine import ContainerState
from orchestrator.host.limits import DeviceLimits, Limits, Told
from orchestrator.survey.prometheus import PrometheusClient, PrometheusError

_DEVICE_SERIES = {
    cgroup.IO_LIMIT_READ_BPS.name: "read_bps",
    cgroup.IO_LIMIT_WRITE_BPS.name: "write_bps",
    cgroup.IO_LIMIT_READ_IOPS.name: "read_iops",
    cgroup.IO_LIMIT_WRITE_IOPS.name: "write_iops",
}
_SERIES = (cgroup.SPEC_CPU_QUOTA, cgroup.SPEC_CPU_PERIOD, cgroup.SPEC_MEMORY_LIMIT, cgroup.THREADS_MAX)
_NAMES = "|".join((*(metric.name for metric in _SERIES), *_DEVICE_SERIES))
_OURS = re.compile(f"({_NAMES}){{")
_AGENT_SECONDS = 3.0

_Series = tuple[dict[str, str], float]
"""Labels, `__name__` among them, and value."""


class TellsLimits(Protocol):
    """The part of an engine that is needed here."""

    def inspect(self, container: str) -> ContainerState | None:
        """See `Engine`."""

    def limits(self, container_id: str) -> Limits | None:
        """What it was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteLimits:
    """Limits of containers on one host. Called with a container's id.

    Attributes:
        agent: base URL of the host's agent; None where it can't be asked.
    """

    host: str
    agent: str | None
    engine: TellsLimits
    prometheus: PrometheusClient

    def __call__(self, container_id: str) -> Limits | None:
        """The agent's figures, from itself or Prometheus, else the engine's; None if there is no such container.

        Raises:
            EngineUnreachableError: the engine doesn't answer.
        """
        state, asked = self.engine.inspect(container_id), self.engine.limits(container_id)
        if state is None or asked is None:
            return None
        seen = agent_limits(self._from_agent(state.name)) or agent_limits(self._from_prometheus(state.name))
        return asked if seen is None else _merged(seen, asked)

    def _from_agent(self, name: str) -> list[_Series]:
        if self.agent is None:
            return []
        with suppress(requests.RequestException), requests.Session() as session:
            session.trust_env = False  # a proxy for the internet is none for the fleet's own agents
            answer = session.get(f"{self.agent.rstrip('/')}/metrics", timeout=_AGENT_SECONDS)
            mine = map(parse_line, filter(_OURS.match, answer.text.splitlines() if answer.ok else ()))
            own = (row for row in mine if row is not None and row.labels.get("name") == name)
            return [({"__name__": row.name, **row.labels}, row.value) for row in own]
        return []

    def _from_prometheus(self, name: str) -> list[_Series]:
        """Names of hosts and containers need no escaping in a label."""
        with suppress(PrometheusError):
            return self.prometheus.vector(f'{{__name__=~"{_NAMES}",host="{self.host}",name="{name}"}}')
        return []


def _merged(seen: Limits, asked: Limits) -> Limits:
    """What the agent saw; of the processors, which it doesn't read, the engine's word.

    The engine was given one name of a disk, the agent may know it by another: where rates are the same, so is the disk.
    """
    found, told = (sorted(filter(any, map(_rates, limits.devices.values()))) for limits in (seen, asked))
    devices = asked.devices if found == told else seen.devices
    return replace(seen, devices=devices, processors=asked.processors)


def _rates(limit: DeviceLimits) -> tuple[int, ...]:
    return tuple(rate or 0 for rate in astuple(limit))


def agent_limits(series: Iterable[_Series]) -> Limits | None:
    """Limits from an agent's series of one container; None where it has none of it yet."""
    figures: dict[str, float] = {}
    rates: dict[str, dict[str, int]] = {}
    for labels, value in series:
        name = labels.get("__name__", "")
        if name in _DEVICE_SERIES:
            rates.setdefault(labels.get("device", ""), {})[_DEVICE_SERIES[name]] = int(value)
        else:
            figures[name] = value
    quota, period = figures.get(cgroup.SPEC_CPU_QUOTA.name), figures.get(cgroup.SPEC_CPU_PERIOD.name)
    if not period:
        return None
    memory, pids = figures.get(cgroup.SPEC_MEMORY_LIMIT.name), figures.get(cgroup.THREADS_MAX.name)
    return Limits(
        cpu=None if quota is None else round(quota * MILLI / period),
        memory=int(memory) if memory else None,
        pids=int(pids) if pids else None,
        devices={path: DeviceLimits(*map(rate.get, _DEVICE_SERIES.values())) for path, rate in rates.items()},
        told=Told.AGENT,
    )
