"""The most that this container used, from its own cgroup files (v1 and v2) and its network devices.

Sources: Documentation/admin-guide/cgroup-v1/{cpuacct,memory,blkio-controller}.rst, cgroup-v2.rst. What a kernel or an
engine doesn't show is None. Rates are averaged over a few seconds, since shorter bursts need no reservation.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from .record import Peaks

WINDOW_SECONDS = 5.0
_EVERY_SECONDS = 1.0
Number = TypeVar("Number", int, float)

_NANO = 10**9
_MICRO = 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Counters at one time, by name: `cpu` in seconds, the rest in bytes; `memory` is no counter.

    Disks have one counter each: a volume's loop device and the disk beneath it carry the same bytes.
    """

    at: float
    memory: int | None
    cpu: float | None
    reads: dict[str, int]
    writes: dict[str, int]
    received: int
    sent: int


def read_usage(root: Path, at: float) -> Usage:
    """Usage now; `root` is `/` but in tests."""
    group = root / "sys/fs/cgroup"
    received, sent = _network(_lines(root / "proc/net/dev"))
    if (group / "cgroup.controllers").exists():
        return _usage_v2(group, at, received, sent)
    nanoseconds = _first_number(group / "cpuacct/cpuacct.usage")
    reads, writes = _throttle_counters(_lines(group / "blkio/blkio.throttle.io_service_bytes"))
    return Usage(
        at=at,
        memory=_memory(group / "memory/memory.usage_in_bytes", group / "memory/memory.stat", "total_inactive_file"),
        cpu=None if nanoseconds is None else nanoseconds / _NANO,
        reads=reads,
        writes=writes,
        received=received,
        sent=sent,
    )


def peaks_of(before: Usage, now: Usage, so_far: Peaks) -> Peaks:
    """The peaks with one more pair of readings."""
    seconds = now.at - before.at
    if seconds <= 0:
        return so_far
    cpu = None if now.cpu is None or before.cpu is None else round((now.cpu - before.cpu) / seconds, 3)
    return Peaks(
        cpu=_greater(so_far.cpu, cpu),
        memory=_greater(so_far.memory, now.memory),
        read_bps=_greater(so_far.read_bps, _busiest(before.reads, now.reads, seconds)),
        write_bps=_greater(so_far.write_bps, _busiest(before.writes, now.writes, seconds)),
        network_in_bps=_greater(so_far.network_in_bps, int((now.received - before.received) / seconds)),
        network_out_bps=_greater(so_far.network_out_bps, int((now.sent - before.sent) / seconds)),
    )


class PeakWatch(threading.Thread):
    """Reads about once a second, until the process ends."""

    def __init__(self, root: Path = Path("/"), *, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__(name="peaks", daemon=True)
        self._root, self._monotonic = root, monotonic
        self._window: deque[Usage] = deque()
        self._peaks = Peaks()
        self._stop = threading.Event()

    def run(self) -> None:
        """Look about once a second."""
        self.look()
        while not self._stop.wait(_EVERY_SECONDS):
            self.look()

    def look(self) -> None:
        """Take one reading."""
        now = read_usage(self._root, self._monotonic())
        self._window.append(now)
        # A job that is shorter than the window is measured by what there is of it.
        while len(self._window) > 1 and now.at - self._window[1].at >= WINDOW_SECONDS:
            self._window.popleft()
        self._peaks = peaks_of(self._window[0], now, self._peaks)

    def peaks(self) -> Peaks:
        """So far."""
        self.look()
        return self._peaks

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()


def _usage_v2(group: Path, at: float, received: int, sent: int) -> Usage:
    cpu = _stat(group / "cpu.stat").get("usage_usec")
    reads, writes = {}, {}
    for line in _lines(group / "io.stat"):
        device, *pairs = line.split()
        values = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        reads[device], writes[device] = int(values.get("rbytes", 0)), int(values.get("wbytes", 0))
    return Usage(
        at=at,
        memory=_memory(group / "memory.current", group / "memory.stat", "inactive_file"),
        cpu=None if cpu is None else cpu / _MICRO,
        reads=reads,
        writes=writes,
        received=received,
        sent=sent,
    )


def _throttle_counters(lines: list[str]) -> tuple[dict[str, int], dict[str, int]]:
    found: dict[str, dict[str, int]] = {"Read": {}, "Write": {}}
    for line in lines:
        words = line.split()
        if len(words) == 3 and words[1] in found:  # noqa: PLR2004 - device, operation, bytes
            found[words[1]][words[0]] = int(words[2])
    return found["Read"], found["Write"]


def _memory(usage: Path, stat: Path, reclaimable: str) -> int | None:
    used = _first_number(usage)
    return None if used is None else max(used - _stat(stat).get(reclaimable, 0), 0)


def _network(lines: list[str]) -> tuple[int, int]:
    """Bytes received and sent by all devices but loopback."""
    received = sent = 0
    for line in lines:
        device, colon, rest = line.partition(":")
        values = rest.split()
        if colon and device.strip() != "lo" and len(values) >= 9:  # noqa: PLR2004 - the ninth is bytes sent
            received, sent = received + int(values[0]), sent + int(values[8])
    return received, sent


def _busiest(before: dict[str, int], now: dict[str, int], seconds: float) -> int | None:
    rates = [int((count - before.get(device, 0)) / seconds) for device, count in now.items()]
    return max(rates, default=None)


def _greater(first: Number | None, second: Number | None) -> Number | None:
    return max((value for value in (first, second) if value is not None), default=None)


def _stat(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in _lines(path))
    return {words[0]: int(words[1]) for words in pairs if len(words) == 2 and words[1].isdigit()}  # noqa: PLR2004


def _first_number(path: Path) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].strip().isdigit() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
