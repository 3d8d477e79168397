"""CPU times and kernel counts from /proc/stat, topology from /proc/cpuinfo (proc_stat(5), proc_cpuinfo(5))."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from collector.kernelfile import SkippedLines, complete_lines

MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")

_TICKS = os.sysconf("SC_CLK_TCK")
_IDLE = MODES.index("idle")
_HOTPLUGGED = (
    3.0  # seconds of idle time lost; a CPU that lost more was unplugged and counts anew (node_exporter's rule)
)
_COUNTS = frozenset({b"intr", b"ctxt", b"btime", b"processes", b"procs_running", b"procs_blocked"})

Times = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Stat:
    """Seconds by CPU number in the order of `MODES`, and the single counts of the file by their keys."""

    cpus: Mapping[str, Times]
    counts: Mapping[bytes, int]


def parse_stat(data: bytes, skipped: SkippedLines) -> Stat:
    """What /proc/stat says; modes that an old kernel doesn't count are missing at the end."""
    cpus: dict[str, Times] = {}
    counts: dict[bytes, int] = {}
    for line in complete_lines(data, skipped):
        # The line of interrupts has a number for each of hundreds of sources behind the sum: it is not split.
        key, _, rest = line.partition(b" ")
        if key in _COUNTS:
            count = rest.partition(b" ")[0]
            if count.isdigit():
                counts[key] = int(count)
            else:
                skipped.add()
        elif key.startswith(b"cpu") and len(key) > len(b"cpu"):
            ticks = rest.split()[: len(MODES)]
            if key[3:].isdigit() and len(ticks) > _IDLE and all(map(bytes.isdigit, ticks)):
                cpus[key[3:].decode()] = tuple(int(tick) / _TICKS for tick in ticks)
            else:
                skipped.add()
    return Stat(cpus, counts)


def never_backwards(before: Times | None, now: Times) -> Times:
    """Times that don't fall: idle and iowait may (proc_stat(5)), a counter must not."""
    if before is None or len(before) != len(now) or before[_IDLE] - now[_IDLE] > _HOTPLUGGED:
        return now
    return tuple(map(max, before, now))


@dataclass(frozen=True, slots=True)
class Topology:
    """Cores and sockets; 0 where the architecture doesn't tell (/proc/cpuinfo of ARM)."""

    physical_cores: int
    sockets: int


def parse_cpuinfo(data: bytes) -> Topology:
    """Counts of different cores and packages; fields of lines that are no `KEY : VALUE` don't count."""
    sockets: set[bytes] = set()
    cores: set[tuple[bytes, bytes]] = set()
    socket = b""
    for line in data.splitlines():
        key, _, value = line.partition(b":")
        name = key.strip()
        if name == b"physical id":
            socket = value.strip()
            sockets.add(socket)
        elif name == b"core id":
            cores.add((socket, value.strip()))
    return Topology(len(cores), len(sockets))
