"""Limits of a container on another host: its cgroup can't be read from here.

The engine tells what it was asked for, which proves nothing of the kernel. The host's agent reads the cgroup: its
series of the container are the proof, as soon as Prometheus has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from collector.catalogue import cgroup
from collector.errors import VdbmonError
from orchestrator.engine import ContainerState
from orchestrator.limits import DeviceLimits, Limits, Told
from orchestrator.prometheus import PrometheusClient
from orchestrator.resources import MILLI

_SERIES = (
    cgroup.SPEC_CPU_QUOTA,
    cgroup.SPEC_CPU_PERIOD,
    cgroup.SPEC_MEMORY_LIMIT,
    cgroup.THREADS_MAX,
    cgroup.IO_LIMIT_READ_BPS,
    cgroup.IO_LIMIT_WRITE_BPS,
)
_NAMES = "|".join(metric.name for metric in _SERIES)


class TellsLimits(Protocol):
    """The part of an engine that is needed here."""

    def inspect(self, container: str) -> ContainerState | None:
        """See `Engine`."""

    def limits(self, container_id: str) -> Limits | None:
        """What it was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteLimits:
    """Limits of containers on one host. Called with a container's id."""

    host: str
    engine: TellsLimits
    prometheus: PrometheusClient

    def __call__(self, container_id: str) -> Limits | None:
        """The agent's figures where Prometheus has them, else the engine's; None if there is no such container.

        Raises:
            EngineUnreachableError: the engine doesn't answer.
        """
        state, asked = self.engine.inspect(container_id), self.engine.limits(container_id)
        if state is None or asked is None:
            return None
        try:
            series = self.prometheus.vector(
                f'{{__name__=~"{_NAMES}", host="{_escaped(self.host)}", name="{_escaped(state.name)}"}}'
            )
        except VdbmonError:
            return asked
        seen = agent_limits(series)
        if seen is None:
            return asked
        # The engine was given one name of a disk, the agent may know it by another.
        same = sorted(map(str, seen.devices.values())) == sorted(map(str, asked.devices.values()))
        return replace(seen, devices=asked.devices) if same else seen


def agent_limits(series: Iterable[tuple[Mapping[str, str], float]]) -> Limits | None:
    """Limits from an agent's series of one container; None where it has none of it yet."""
    figures: dict[str, float] = {}
    rates: dict[str, dict[str, int]] = {}
    for labels, value in series:
        name = labels.get("__name__", "")
        if name == cgroup.IO_LIMIT_READ_BPS.name:
            rates.setdefault(labels.get("device", ""), {})["read_bps"] = int(value)
        elif name == cgroup.IO_LIMIT_WRITE_BPS.name:
            rates.setdefault(labels.get("device", ""), {})["write_bps"] = int(value)
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
        devices={path: DeviceLimits(rate.get("read_bps"), rate.get("write_bps")) for path, rate in rates.items()},
        told=Told.AGENT,
    )


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
