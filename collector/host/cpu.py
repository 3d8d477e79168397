"""CPU times and kernel counts from /proc/stat, topology from /proc/cpuinfo (proc_stat(5), proc_cpuinfo(5))."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from collector.kernelfile import SkippedLines, complete_lines, is_number

MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
GUEST_MODES = ("user", "nice")  # the two columns behind: time of virtual machines, which `user` and `nice` contain

_TICKS = os.sysconf("SC_CLK_TCK")
_IDLE = MODES.index("idle")
# Seconds of idle time lost; a CPU that lost more was unplugged and counts anew (node_exporter's rule).
_HOTPLUGGED = 3.0
_COUNTS = frozenset({b"intr", b"ctxt", b"btime", b"processes", b"procs_running", b"procs_blocked"})

Times = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Stat:
    """Seconds by CPU number in the order of `MODES`, then `GUEST_MODES`, and the single counts of the file by keys."""

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
            if is_number(count):
                counts[key] = int(count)
            else:
                skipped.add()
        elif key.startswith(b"cpu") and len(key) > len(b"cpu"):
            ticks = rest.split()[: len(MODES) + len(GUEST_MODES)]
            if is_number(key[3:]) and len(ticks) > _IDLE and all(map(is_number, ticks)):
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
    """Logical CPUs, cores and sockets; 0 where the architecture doesn't tell (/proc/cpuinfo of ARM)."""

    processors: int
    physical_cores: int
    sockets: int


def parse_cpuinfo(data: bytes) -> Topology:
    """Counts of CPUs, and of different cores and packages where every CPU names its own; a torn file has none."""
    processors = 0
    sockets: list[bytes] = []
    cores: list[tuple[bytes, bytes]] = []
    for line in data.splitlines(keepends=True):
        key, _, value = line.partition(b":")
        name = key.strip()
        if name == b"processor":
            processors += 1
        elif name == b"physical id":
            sockets.append(value)
        elif name == b"core id":
            cores.append((sockets[-1] if sockets else b"", value))
    if len(cores) not in (0, processors) or len(sockets) not in (0, processors) or not data.endswith(b"\n"):
        return Topology(0, 0, 0)
    return Topology(processors, len(set(cores)), len(set(sockets)))
