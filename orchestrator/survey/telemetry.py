"""How much of each resource a host's containers can't have any more, from Prometheus, with the age of the figures.

`used` is what of the inventory's total is gone, whatever took it:

- memory: total less MemAvailable; memory that anything took is gone.
- disk: total less what the filesystem under the volumes has left, after all sized volumes on it have been filled: their
  files are sparse, what they may still take is promised.
- the rates: the larger of two figures. What goes on now: of cpu what all containers use, of disks and network what the
  physical devices do, whoever asks them to. And what the containers that live now need at their busy times: the sum of
  each one's 95th percentile over WINDOW. A container that is idle for a minute keeps its room, one that has ended gives
  it back at once, and a short burst (a package upgrade, an image build) takes nothing away for long.

What the host needs for good is `reserved`; a host that is really short of something raises an alert.

`containers` is what each running container may take: its limit where it has one, else its 95th percentile; one slot.
The ledger tells which of them nobody placed through vdbmon (`HostState.foreign`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from collector.catalogue import cgroup, host, internal, network
from collector.metrics import Metric
from orchestrator.decision.resources import MILLI, Amounts, InventoryRows, ResourceClass
from orchestrator.decision.snapshot import NO_TELEMETRY, Telemetry
from orchestrator.survey.prometheus import PrometheusClient

JOB = "vdbmon"
WINDOW = "30m"
PERCENTILE = 0.95
_INPUTS = 'input=~"cgroup|host"'
_RATE = "1m"
_CLASS = "class"
_WHOLE_DISK = 'device!~"(/dev/)?((loop|ram|zram|sr|fd|dm-|md)[0-9]+|(sd|vd|xvd|hd)[a-z]+[0-9]+|(nvme|mmcblk).+p[0-9]+)"'
"""No partitions, and nothing that lies on another disk; hosts name devices bare, containers by path."""

_PHYSICAL_LINK = (
    'device!~"lo|(bond|team|dummy|tun|tap|tunl|sit|gre|erspan|ip6tnl|vxlan|genev|virbr|docker|ovs-|cni|flannel|cali)'
    '.*|veth.*|br[-0-9].*|vlan.*|.+[.][0-9]+"'  # nothing that sends through another link
)
_CONTAINER = 'image!=""'

_UP = f'min by (host) (up{{job="{JOB}"}})'
_SCRAPE_AGE = f"max by (host) (time() - timestamp({host.TIME.name}))"
_INPUT_AGE = f"max by (host) (time() - {internal.INPUT_LAST_SUCCESS.name}{{{_INPUTS}}})"
_MEMORY_AVAILABLE = f"min by (host) ({host.MEMORY['MemAvailable'].name})"
_FS_AVAILABLE = f"min by (host, mountpoint, device) ({host.FS_AVAIL.name})"


def _rate(metric: Metric, selector: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric.name}{{{selector}}}[{_RATE}]))"


def _union(queries: Mapping[ResourceClass, str]) -> str:
    """One query for several classes; each answer says its own in the label `class`."""
    parts = (f'label_replace({query}, "{_CLASS}", "{key}", "", "")' for key, query in queries.items())
    return " or ".join(parts)


def _per_container(queries: Mapping[ResourceClass, str]) -> str:
    """Only of containers that live: a subquery also finds those that ended within its window."""
    living = f"max by (host, name) ({cgroup.LAST_SEEN.name}{{{_CONTAINER}}})"
    return f"({_union(queries)}) and on (host, name) {living}"


def _busy(expression: str) -> str:
    return f"quantile_over_time({PERCENTILE}, ({expression})[{WINDOW}:{_RATE}])"


_CPU_SELECTOR = f'cpu="total",{_CONTAINER}'
NOW: Mapping[ResourceClass, str] = MappingProxyType(
    {
        # A host without containers has no series of theirs; it uses nothing, if its cgroups are read at all.
        ResourceClass.CPU: (
            f"({_rate(cgroup.CPU_USAGE, _CPU_SELECTOR, 'host')} "
            f'or max by (host) (0 * ({internal.INPUT_UP.name}{{input="cgroup"}} == 1)))'
        ),
        ResourceClass.READ_BPS: _rate(host.DISK_READ_BYTES, _WHOLE_DISK, "host"),
        ResourceClass.WRITE_BPS: _rate(host.DISK_WRITTEN_BYTES, _WHOLE_DISK, "host"),
        ResourceClass.READ_IOPS: _rate(host.DISK_READS, _WHOLE_DISK, "host"),
        ResourceClass.WRITE_IOPS: _rate(host.DISK_WRITES, _WHOLE_DISK, "host"),
        ResourceClass.NETWORK_IN: _rate(host.NET_RECEIVE_BYTES, _PHYSICAL_LINK, "host"),
        ResourceClass.NETWORK_OUT: _rate(host.NET_TRANSMIT_BYTES, _PHYSICAL_LINK, "host"),
    }
)
"""What goes on now, by host: a query per class that is a rate."""

_NOW = _union(NOW)
_BUSY = _per_container(
    {
        ResourceClass.CPU: _busy(_rate(cgroup.CPU_USAGE, _CPU_SELECTOR, "host, name")),
        ResourceClass.MEMORY: _busy(f"sum by (host, name) ({cgroup.MEMORY_WORKING_SET.name}{{{_CONTAINER}}})"),
        ResourceClass.READ_BPS: _busy(_rate(cgroup.FS_READ_BYTES, _WHOLE_DISK, "host, name")),
        ResourceClass.WRITE_BPS: _busy(_rate(cgroup.FS_WRITE_BYTES, _WHOLE_DISK, "host, name")),
        ResourceClass.READ_IOPS: _busy(_rate(cgroup.FS_READS, _WHOLE_DISK, "host, name")),
        ResourceClass.WRITE_IOPS: _busy(_rate(cgroup.FS_WRITES, _WHOLE_DISK, "host, name")),
        ResourceClass.NETWORK_IN: _busy(_rate(network.RECEIVE_BYTES, _CONTAINER, "host, name")),
        ResourceClass.NETWORK_OUT: _busy(_rate(network.TRANSMIT_BYTES, _CONTAINER, "host, name")),
    }
)
_LIMITS = _per_container(
    {
        ResourceClass.CPU: (
            f"max by (host, name) ({cgroup.SPEC_CPU_QUOTA.name}{{{_CONTAINER}}} > 0) "
            f"/ max by (host, name) ({cgroup.SPEC_CPU_PERIOD.name}{{{_CONTAINER}}})"
        ),
        ResourceClass.MEMORY: f"max by (host, name) ({cgroup.SPEC_MEMORY_LIMIT.name}{{{_CONTAINER}}} > 0)",
        ResourceClass.READ_BPS: f"max by (host, name) ({cgroup.IO_LIMIT_READ_BPS.name}{{{_WHOLE_DISK}}})",
        ResourceClass.WRITE_BPS: f"max by (host, name) ({cgroup.IO_LIMIT_WRITE_BPS.name}{{{_WHOLE_DISK}}})",
        ResourceClass.READ_IOPS: f"max by (host, name) ({cgroup.IO_LIMIT_READ_IOPS.name}{{{_WHOLE_DISK}}})",
        ResourceClass.WRITE_IOPS: f"max by (host, name) ({cgroup.IO_LIMIT_WRITE_IOPS.name}{{{_WHOLE_DISK}}})",
    }
)

_ByHost = Mapping[str, Mapping[ResourceClass, float]]
_ByContainer = Mapping[str, Mapping[str, Mapping[ResourceClass, float]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Answers to the queries, by host; `busy` and `limits` also by container. Cores, bytes, per second."""

    up: Mapping[str, float]
    scrape_age: Mapping[str, float]
    input_age: Mapping[str, float]
    memory_available: Mapping[str, float]
    filesystems: Mapping[str, list[tuple[dict[str, str], float]]]
    now: _ByHost
    busy: _ByContainer
    limits: _ByContainer


def read_telemetry(client: PrometheusClient) -> Readings:
    """Ask Prometheus for the whole fleet at once.

    Raises:
        PrometheusError: any of the answers didn't come.
    """
    return Readings(
        up=client.by_label(_UP, "host"),
        scrape_age=client.by_label(_SCRAPE_AGE, "host"),
        input_age=client.by_label(_INPUT_AGE, "host"),
        memory_available=client.by_label(_MEMORY_AVAILABLE, "host"),
        filesystems=_filesystems(client.vector(_FS_AVAILABLE)),
        now=_by_host(client.vector(_NOW)),
        busy=_by_container(client.vector(_BUSY)),
        limits=_by_container(client.vector(_LIMITS)),
    )


def telemetry_of(name: str, readings: Readings, inventory: InventoryRows, volumes_dir: Path) -> Telemetry:
    """One host's part; `volumes_dir` is the folder of its sized volumes."""
    if readings.up.get(name, 0.0) < 1 or name not in readings.scrape_age or name not in readings.input_age:
        return NO_TELEMETRY
    busy, limits = readings.busy.get(name, {}), readings.limits.get(name, {})
    used: dict[ResourceClass, float] = {}
    for key, rate in readings.now.get(name, {}).items():
        needed = sum(figures.get(key, 0.0) for figures in busy.values())
        used[key] = max(rate, needed if math.isfinite(needed) else 0.0)
    if name in readings.memory_available:
        used[ResourceClass.MEMORY] = inventory[ResourceClass.MEMORY].total - readings.memory_available[name]
    available = disk_available(readings.filesystems.get(name, []), volumes_dir)
    if available is not None:
        used[ResourceClass.DISK] = inventory[ResourceClass.DISK].total - available
    return Telemetry(
        up=True,
        age=max(readings.scrape_age[name], readings.input_age[name], 0.0),
        used=_amounts(used),
        containers=MappingProxyType({item: _may_take(item, busy, limits) for item in {*busy, *limits}}),
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


def _may_take(
    name: str, busy: Mapping[str, Mapping[ResourceClass, float]], limits: Mapping[str, Mapping[ResourceClass, float]]
) -> Amounts:
    """The container's limit where it has one, else what it needs; one slot."""
    figures = {**busy.get(name, {}), **limits.get(name, {})}
    return MappingProxyType({ResourceClass.SLOTS: 1, **_amounts(figures)})


def _amounts(figures: Mapping[ResourceClass, float]) -> Amounts:
    """Whole numbers in the classes' units; what is no number is unknown."""
    scaled = {key: value * MILLI if key is ResourceClass.CPU else value for key, value in figures.items()}
    return MappingProxyType({key: max(math.ceil(value), 0) for key, value in scaled.items() if math.isfinite(value)})


def _filesystems(vector: Iterable[tuple[dict[str, str], float]]) -> Mapping[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for labels, value in vector:
        found.setdefault(labels.get("host", ""), []).append((labels, value))
    return found


def _by_host(vector: Iterable[tuple[dict[str, str], float]]) -> _ByHost:
    found: dict[str, dict[ResourceClass, float]] = {}
    for labels, value in vector:
        if "host" in labels:
            found.setdefault(labels["host"], {})[ResourceClass(labels[_CLASS])] = value
    return found


def _by_container(vector: Iterable[tuple[dict[str, str], float]]) -> _ByContainer:
    found: dict[str, dict[str, dict[ResourceClass, float]]] = {}
    for labels, value in vector:
        if "host" in labels and "name" in labels:
            containers = found.setdefault(labels["host"], {})
            containers.setdefault(labels["name"], {})[ResourceClass(labels[_CLASS])] = value
    return found
