"""How much of each resource a host's containers can't have any more, from Prometheus, with the age of the figures.

`used` is what of the inventory's total is gone, whatever took it:

- cpu: what all containers of the host use, placed by vdbmon or not. The host's own bursts (a package upgrade, an image
  build) pass within a job's hours and don't take away a quota; what the host needs for good is `reserved`, and a host
  that is really short of CPU raises an alert (CPU pressure).
- memory: total less MemAvailable; memory that anything took is gone.
- disk: total less what the filesystem under the volumes has left, after all sized volumes on it have been filled: their
  files are sparse, what they may still take is promised.
- read_bps, write_bps: what the physical disks do, whoever asks them to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from collector.catalogue import cgroup, host, internal
from collector.metrics import Metric
from orchestrator.prometheus import PrometheusClient
from orchestrator.resources import MILLI, InventoryRows, ResourceClass
from orchestrator.snapshot import NO_TELEMETRY, Telemetry

JOB = "vdbmon"
_INPUTS = 'input=~"cgroup|host"'
_WINDOW = "1m"
_WHOLE_DISK = (
    'device!~"(loop|ram|zram|sr|fd|dm-|md)[0-9]+|(sd|vd|xvd|hd)[a-z]+[0-9]+|(nvme|mmcblk).+p[0-9]+"'  # no partitions
)

_UP = f'min by (host) (up{{job="{JOB}"}})'
_SCRAPE_AGE = f"max by (host) (time() - timestamp({host.TIME.name}))"
_INPUT_AGE = f"max by (host) (time() - {internal.INPUT_LAST_SUCCESS.name}{{{_INPUTS}}})"
# A host without containers has no series of theirs; it uses nothing, if its cgroups are read at all.
_CPU = (
    f'sum by (host) (rate({cgroup.CPU_USAGE.name}{{cpu="total",image!=""}}[{_WINDOW}])) '
    f'or max by (host) (0 * ({internal.INPUT_UP.name}{{input="cgroup"}} == 1))'
)
_MEMORY_AVAILABLE = f"min by (host) ({host.MEMORY['MemAvailable'].name})"
_FS_AVAILABLE = f"min by (host, mountpoint, device) ({host.FS_AVAIL.name})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Answers to the queries, by host."""

    up: Mapping[str, float]
    scrape_age: Mapping[str, float]
    input_age: Mapping[str, float]
    cpu: Mapping[str, float]
    memory_available: Mapping[str, float]
    filesystems: tuple[tuple[dict[str, str], float], ...]
    read_bps: Mapping[str, float]
    write_bps: Mapping[str, float]


def read_telemetry(client: PrometheusClient) -> Readings:
    """Ask Prometheus for the whole fleet at once.

    Raises:
        PrometheusError: any of the answers didn't come.
    """
    return Readings(
        up=client.by_label(_UP, "host"),
        scrape_age=client.by_label(_SCRAPE_AGE, "host"),
        input_age=client.by_label(_INPUT_AGE, "host"),
        cpu=client.by_label(_CPU, "host"),
        memory_available=client.by_label(_MEMORY_AVAILABLE, "host"),
        filesystems=tuple(client.vector(_FS_AVAILABLE)),
        read_bps=client.by_label(_disk_rate(host.DISK_READ_BYTES), "host"),
        write_bps=client.by_label(_disk_rate(host.DISK_WRITTEN_BYTES), "host"),
    )


def telemetry_of(name: str, readings: Readings, inventory: InventoryRows, volumes_dir: Path) -> Telemetry:
    """One host's part; `volumes_dir` is the folder of its sized volumes."""
    if readings.up.get(name, 0.0) < 1 or name not in readings.scrape_age or name not in readings.input_age:
        return NO_TELEMETRY
    used: dict[ResourceClass, float] = {}
    if name in readings.cpu:
        used[ResourceClass.CPU] = readings.cpu[name] * MILLI
    if name in readings.memory_available:
        used[ResourceClass.MEMORY] = inventory[ResourceClass.MEMORY].total - readings.memory_available[name]
    available = disk_available([item for item in readings.filesystems if item[0].get("host") == name], volumes_dir)
    if available is not None:
        used[ResourceClass.DISK] = inventory[ResourceClass.DISK].total - available
    for key, rates in ((ResourceClass.READ_BPS, readings.read_bps), (ResourceClass.WRITE_BPS, readings.write_bps)):
        if name in rates:
            used[key] = rates[name]
    return Telemetry(
        up=True,
        age=max(readings.scrape_age[name], readings.input_age[name], 0.0),
        used=MappingProxyType({key: max(math.ceil(value), 0) for key, value in used.items() if math.isfinite(value)}),
    )


def disk_available(filesystems: list[tuple[dict[str, str], float]], volumes_dir: Path) -> float | None:
    """Bytes that new volumes can have of the filesystem under the folder; None where it isn't reported."""
    folder = PurePosixPath(volumes_dir)
    available = {PurePosixPath(labels["mountpoint"]): value for labels, value in filesystems if "mountpoint" in labels}
    under = [point for point in available if folder.is_relative_to(point)]
    if not under:
        return None
    promised = sum(value for point, value in available.items() if point != folder and point.is_relative_to(folder))
    return available[max(under, key=lambda point: len(point.parts))] - promised


def _disk_rate(metric: Metric) -> str:
    return f"sum by (host) (rate({metric.name}{{{_WHOLE_DISK}}}[{_WINDOW}]))"
