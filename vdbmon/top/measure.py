"""Out of two readings of an agent's `/metrics`: what its host and its containers take now.

The time between two readings is that of the host's clock, which every collection brings: neither the way to the host
nor a wait for its answer falsifies a rate, and a collection that the agent gave out twice is no second reading. A
counter that is lower than before has begun anew with its container: there is no rate of it until the next reading.

The declarations are imported from the inputs one by one: the catalogue imports all inputs, with libraries that would
make `top` start an eighth of a second later.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from collector.inputs import cgroup, docker, host, internal, network, ovs, process
from collector.metrics import Metric
from vdbmon.top.exposition import Exposition, Labels, Selection
from vdbmon.top.rows import ContainerRow, Figures, Group, HostRow, Use, nearest_limit

_IDLE = ("idle", "iowait")
_TOTAL = "total"
_LOOPBACK = "lo"
_KILOBIT, _BIT = 1000 / 8, 1 / 8  # bytes

Nested = dict[Labels, dict[str, float | None]]
"""By all labels but the last and then by that one: by container and device, say."""

_MEMORY_TOTAL, _MEMORY_AVAILABLE = host.MEMORY["MemTotal"], host.MEMORY["MemAvailable"]

SELECTION: Selection = {
    host.CPU_SECONDS: tuple(f'mode="{mode}"' for mode in _IDLE),
    cgroup.CPU_USAGE: (f'cpu="{_TOTAL}"',),
    **dict.fromkeys(
        (
            *(host.TIME, host.CPU_CORES, _MEMORY_TOTAL, _MEMORY_AVAILABLE, host.DISK_READ_BYTES),
            *(host.DISK_WRITTEN_BYTES, host.NET_RECEIVE_BYTES, host.NET_TRANSMIT_BYTES, host.NET_SPEED),
            *(cgroup.LAST_SEEN, cgroup.SPEC_CPU_QUOTA, cgroup.SPEC_CPU_PERIOD, cgroup.CFS_PERIODS),
            *(cgroup.CFS_THROTTLED_PERIODS, cgroup.MEMORY_WORKING_SET, cgroup.SPEC_MEMORY_LIMIT),
            *(cgroup.FS_READ_BYTES, cgroup.FS_WRITE_BYTES, cgroup.IO_LIMIT_READ_BPS, cgroup.IO_LIMIT_WRITE_BPS),
            *(network.RECEIVE_BYTES, network.TRANSMIT_BYTES, process.COUNT, process.CPU),
            *(ovs.CONTAINER_INFO, ovs.POLICING_RATE, ovs.QOS_MAX_RATE),
            *(docker.HANG_PATTERN, docker.PROBE_SUCCESS, internal.INPUT_UP),
        ),
        (),
    ),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """One answer of an agent; `received` in seconds of the local monotonic clock."""

    exposition: Exposition
    received: float


def seconds_between(now: Reading, before: Reading | None) -> float | None:
    """From one collection to the next; None if it is the same one, or the host's clock was set back."""
    if before is None:
        return None
    clock, clock_before = now.exposition.value(host.TIME), before.exposition.value(host.TIME)
    if clock is None or clock_before is None:  # the agent could not read its host
        clock, clock_before = now.received, before.received
    return clock - clock_before if clock > clock_before else None


def measure(now: Reading, before: Reading | None) -> HostRow:
    """The figures of a host and its containers; without an earlier reading those that need none."""
    rates = _Rates(now.exposition, None if before is None else before.exposition, seconds_between(now, before))
    return HostRow(
        name=now.exposition.host,
        figures=_host_figures(now.exposition, rates),
        containers=tuple(_containers(now.exposition, rates)),
        warnings=tuple(_warnings(now.exposition)),
    )


class _Rates:
    """What counters grew by, per second."""

    def __init__(self, now: Exposition, before: Exposition | None, seconds: float | None) -> None:
        self._now = now
        self._before = before
        self._seconds = seconds

    def increase(self, metric: Metric, labels: Labels) -> float | None:
        """How much it grew; None if it is new, or began anew."""
        if self._before is None or self._seconds is None:
            return None
        value, value_before = self._now.value(metric, *labels), self._before.value(metric, *labels)
        return None if value is None or value_before is None or value < value_before else value - value_before

    def of(self, metric: Metric, labels: Labels) -> float | None:
        """How much it grows per second."""
        increase = self.increase(metric, labels)
        return None if increase is None or self._seconds is None else increase / self._seconds

    def by(self, metric: Metric) -> Nested:
        """All rates of a metric."""
        return _nested({labels: self.of(metric, labels) for labels in self._now.of(metric)})


def _nested(values: Mapping[Labels, float | None]) -> Nested:
    found: Nested = defaultdict(dict)
    for labels, value in values.items():
        found[labels[:-1]][labels[-1]] = value
    return found


def _host_figures(now: Exposition, rates: _Rates) -> Figures:
    cores = now.value(host.CPU_CORES)
    idle = [rates.of(host.CPU_SECONDS, labels) for labels in now.of(host.CPU_SECONDS)]
    known = [rate for rate in idle if rate is not None]
    busy = None if cores is None or not known or len(known) < len(idle) else min(max(cores - sum(known), 0.0), cores)
    total, available = now.value(_MEMORY_TOTAL), now.value(_MEMORY_AVAILABLE)
    return Figures(
        cpu=Use(busy, cores),
        memory=Use(None if total is None or available is None else total - available, total),
        read=_busiest(rates, host.DISK_READ_BYTES),
        write=_busiest(rates, host.DISK_WRITTEN_BYTES),
        received=_busiest(rates, host.NET_RECEIVE_BYTES, now),
        sent=_busiest(rates, host.NET_TRANSMIT_BYTES, now),
    )


def _busiest(rates: _Rates, metric: Metric, links: Exposition | None = None) -> Use:
    """The busiest device or interface: a bridge and its link, or a disk and its partition, carry the same bytes."""
    uses = []
    for device, rate in rates.by(metric).get((), {}).items():
        if device != _LOOPBACK:
            speed = None if links is None else links.value(host.NET_SPEED, device)
            uses.append(Use(rate, speed if speed and speed > 0 else None))
    return max(uses, key=lambda use: use.used or 0.0, default=Use())


def _containers(now: Exposition, rates: _Rates) -> Iterator[ContainerRow]:
    reads, writes = rates.by(cgroup.FS_READ_BYTES), rates.by(cgroup.FS_WRITE_BYTES)
    received, sent = rates.by(network.RECEIVE_BYTES), rates.by(network.TRANSMIT_BYTES)
    read_limits, write_limits = _nested(now.of(cgroup.IO_LIMIT_READ_BPS)), _nested(now.of(cgroup.IO_LIMIT_WRITE_BPS))
    groups = rates.by(process.CPU)
    limits = _network_limits(now)
    for key in sorted(now.of(cgroup.LAST_SEEN)):
        limit_in, limit_out = limits.get(key, (None, None))
        figures = Figures(
            cpu=Use(rates.of(cgroup.CPU_USAGE, (*key, _TOTAL)), _cpu_limit(now, key)),
            memory=Use(now.value(cgroup.MEMORY_WORKING_SET, *key), now.value(cgroup.SPEC_MEMORY_LIMIT, *key) or None),
            read=_of_devices(reads.get(key, {}), read_limits.get(key, {})),
            write=_of_devices(writes.get(key, {}), write_limits.get(key, {})),
            received=Use(_sum(received.get(key, {})), limit_in),
            sent=Use(_sum(sent.get(key, {})), limit_out),
            throttled=_throttled(rates, key),
        )
        name, image = key
        yield ContainerRow(name, image, figures, _groups(now, key, groups.get(key, {})))


def _cpu_limit(now: Exposition, key: Labels) -> float | None:
    quota, period = now.value(cgroup.SPEC_CPU_QUOTA, *key), now.value(cgroup.SPEC_CPU_PERIOD, *key)
    return quota / period if quota and period and quota > 0 else None


def _throttled(rates: _Rates, key: Labels) -> float | None:
    periods, throttled = rates.increase(cgroup.CFS_PERIODS, key), rates.increase(cgroup.CFS_THROTTLED_PERIODS, key)
    if periods is None or throttled is None:
        return None
    return throttled / periods if periods else 0.0


def _of_devices(moved: Mapping[str, float | None], limits: Mapping[str, float | None]) -> Use:
    return nearest_limit(Use(moved.get(device), limits.get(device)) for device in sorted({*moved, *limits}))


def _sum(rates: Mapping[str, float | None]) -> float | None:
    known = [rate for rate in rates.values() if rate is not None]
    return sum(known) if known else None


def _groups(now: Exposition, key: Labels, cpu: Mapping[str, float | None]) -> tuple[Group, ...]:
    found = [Group(name, int(now.value(process.COUNT, *key, name) or 0), rate) for name, rate in cpu.items()]
    return tuple(sorted(found, key=lambda group: (-(group.cpu or 0.0), group.name)))


def _network_limits(now: Exposition) -> dict[Labels, tuple[float | None, float | None]]:
    """What a container may receive and send by Open vSwitch, if that limits all of its interfaces; else None.

    What comes into the switch is sent by the container and policed; what the switch sends to a port is shaped by the
    port's QoS. A port has the name of its interface unless it is a bond.
    """
    policed = {labels[2]: rate * _KILOBIT for labels, rate in now.of(ovs.POLICING_RATE).items() if rate}
    shaped = {labels[1]: rate * _BIT for labels, rate in now.of(ovs.QOS_MAX_RATE).items() if rate}
    interfaces: dict[Labels, list[str]] = defaultdict(list)
    for interface, *key in now.of(ovs.CONTAINER_INFO):
        interfaces[tuple(key)].append(interface)
    own = Counter(labels[:-1] for labels in now.of(network.RECEIVE_BYTES))
    return {
        key: (_all_of(shaped, found), _all_of(policed, found))
        for key, found in interfaces.items()
        if len(found) == own[key]
    }


def _all_of(limits: Mapping[str, float], interfaces: list[str]) -> float | None:
    return sum(limits[name] for name in interfaces) if all(name in limits for name in interfaces) else None


def _warnings(now: Exposition) -> Iterator[str]:
    if now.value(docker.HANG_PATTERN):
        yield "Docker hangs"
    elif 0 in now.of(docker.PROBE_SUCCESS).values():
        yield "Docker does not answer"
    failing = sorted(labels[0] for labels, up in now.of(internal.INPUT_UP).items() if not up)
    if failing:
        yield f"no figures from {', '.join(failing)}"
