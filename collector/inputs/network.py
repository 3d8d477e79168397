"""Network counters of each container, from its own network namespace.

Source: /proc/PID/net/dev (proc_pid_net(5)). Names are cAdvisor's. Containers on the host's namespace are left out:
their traffic is the host's; of containers that share a namespace the one that owns it is counted.
"""

from __future__ import annotations

import os
from pathlib import Path

from collector.containers import Container, ContainerIndex
from collector.kernelfile import SkippedLines, read_file
from collector.metrics import Sample, Unit, counter, gauge
from collector.netdev import COLUMNS, LOOPBACK, parse_net_dev

_L = ("name", "image", "interface")

RECEIVE_BYTES = counter("container_network_receive_bytes_total", "Bytes received.", *_L, unit=Unit.BYTES)
RECEIVE_PACKETS = counter("container_network_receive_packets_total", "Packets received.", *_L)
RECEIVE_ERRORS = counter("container_network_receive_errors_total", "Receive errors.", *_L)
RECEIVE_DROPPED = counter("container_network_receive_packets_dropped_total", "Received packets dropped.", *_L)
TRANSMIT_BYTES = counter("container_network_transmit_bytes_total", "Bytes sent.", *_L, unit=Unit.BYTES)
TRANSMIT_PACKETS = counter("container_network_transmit_packets_total", "Packets sent.", *_L)
TRANSMIT_ERRORS = counter("container_network_transmit_errors_total", "Transmit errors.", *_L)
TRANSMIT_DROPPED = counter("container_network_transmit_packets_dropped_total", "Sent packets dropped.", *_L)

NETNS_SHARED = gauge(
    "vdbmon_container_network_namespace_shared",
    "1 where the container has no network namespace of its own; mode is host or container.",
    "name",
    "image",
    "mode",
)

_METRICS = {
    "receive_bytes": RECEIVE_BYTES,
    "receive_packets": RECEIVE_PACKETS,
    "receive_errs": RECEIVE_ERRORS,
    "receive_drop": RECEIVE_DROPPED,
    "transmit_bytes": TRANSMIT_BYTES,
    "transmit_packets": TRANSMIT_PACKETS,
    "transmit_errs": TRANSMIT_ERRORS,
    "transmit_drop": TRANSMIT_DROPPED,
}
_METRIC_OF_COLUMN = tuple((COLUMNS.index(column), metric) for column, metric in _METRICS.items())


class _Watched:
    """What the interfaces of a container said last, and the samples of that."""

    __slots__ = ("data", "labels", "samples")

    def __init__(self) -> None:
        self.labels: tuple[str, str] | None = None
        self.data = b""
        self.samples: list[Sample] = []


class NetworkInput:
    """Reads each network namespace once, for the container that owns it."""

    name = "network"

    def __init__(self, index: ContainerIndex, procfs: Path, skipped: SkippedLines) -> None:
        self._index = index
        self._procfs = procfs
        self._skipped = skipped
        self._watched: dict[str, _Watched] = {}

    def gather(self) -> list[Sample]:
        """Counters per container and interface, and a mark on those that share a namespace."""
        samples: list[Sample] = []
        host = self._namespace(1)
        seen: set[str] = set()
        known, self._watched = self._watched, {}
        for container in sorted(self._index.containers, key=_borrows_namespace):
            namespace = None if container.pid is None else self._namespace(container.pid)
            if namespace is None:
                continue  # it ended since the index was refreshed
            if namespace == host or namespace in seen:
                mode = "host" if namespace == host else "container"
                samples.append(NETNS_SHARED.sample(1, container.name, container.image, mode))
                continue
            seen.add(namespace)
            watched = self._watched[container.id] = known.get(container.id) or _Watched()
            samples.extend(self._interfaces(container, watched))
        return samples

    def _interfaces(self, container: Container, watched: _Watched) -> list[Sample]:
        try:
            # Opened anew each time: a kept descriptor would keep the namespace, and its veth, alive.
            data = read_file(f"{self._procfs}/{container.pid}/net/dev")
        except OSError:
            return []
        labels = (container.name, container.image)
        if data != watched.data or labels != watched.labels:
            watched.data, watched.labels = data, labels
            watched.samples = [
                Sample(metric, (*labels, interface), counters[column])
                for interface, counters in parse_net_dev(data, self._skipped).items()
                if interface != LOOPBACK
                for column, metric in _METRIC_OF_COLUMN
            ]
        return watched.samples

    def _namespace(self, pid: int) -> str | None:
        try:
            return os.readlink(f"{self._procfs}/{pid}/ns/net")  # noqa: PTH115 - hot path
        except OSError:
            return None


def _borrows_namespace(container: Container) -> bool:
    """True for containers that Docker started with `--network container:ID`; the owner is read before them."""
    return bool(container.metadata and container.metadata.network_mode.startswith("container:"))
