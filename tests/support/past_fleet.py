"""Four weeks of a fleet that grows, as Prometheus would have kept them: written with past timestamps into its folder.

Memory and disk have a working week, busy nights, noise, two days on which nothing was measured, a step and a new host;
containers come one by one, and each takes half a core and reads 2 MB/s. Of every quarter of an hour, which is as often
as the forecast looks, the last minute is written as an agent that is scraped every 20 s leaves it.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

GIB = 2**30
DAY = 86400.0
DAYS = 28
QUARTER = 900.0
TOTAL = 128 * GIB
_SCRAPES = (-60.0, -40.0, -20.0, 0.0)
_GAP = (8.25, 9.75)
_WORKING_DAYS, _WEEK = 5, 7
_NIGHT_ENDS = 5.0
_LONGEST_BLOCK = "500h"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A host.

    Attributes:
        since: day on which it was added; days count from four weeks ago.
        base: GiB that its memory and disk hold at first, in a busy hour of a working day.
        per_day: GiB more each day.
        step: day and GiB of a sudden growth.
        arrivals: days on which containers came.
    """

    name: str
    since: float = 0.0
    base: float = 30.0
    per_day: float = 0.25
    step: tuple[float, float] = (0.0, 0.0)
    arrivals: tuple[float, ...] = (0.0,)

    def level(self, day: float) -> float:
        """GiB in a busy hour of a working day."""
        return self.base + self.per_day * (day - self.since) + (self.step[1] if day >= self.step[0] else 0.0)

    def containers(self, day: float) -> int:
        """How many run."""
        return sum(arrival <= day for arrival in self.arrivals)


FLEET = (
    Machine(name="dr-host-01", arrivals=(0.0, 3.0, 12.0, 22.0)),
    Machine(name="dr-host-02", arrivals=(0.0, 6.0, 15.0, 25.0), step=(18.0, 8.0)),
    Machine(name="dr-host-03", arrivals=(0.0, 9.0, 18.0)),
    Machine(name="dr-host-04", arrivals=(14.0, 16.0, 20.0, 24.0), since=14.0, base=12.0),
)


def write_history(folder: Path, *, now: float) -> None:
    """Blocks of samples below `folder`, up to `now`, for a Prometheus that is started on it then."""
    text = folder / "history.txt"
    with text.open("w") as file:
        for machine in FLEET:
            file.writelines(_series(machine, now - DAYS * DAY, now))
        file.write("# EOF\n")
    command = ["promtool", "tsdb", "create-blocks-from", f"--max-block-duration={_LONGEST_BLOCK}", "openmetrics"]
    subprocess.run([*command, str(text), str(folder / "prometheus")], check=True, capture_output=True, timeout=120)


def _series(machine: Machine, start: float, now: float) -> Iterator[str]:
    rng = random.Random(machine.name)  # noqa: S311 - no secret
    labels, root = f'host="{machine.name}"', f'host="{machine.name}",mountpoint="/",device="/dev/sda1",fstype="ext4"'
    moments = [at for at in _moments(start, now) if _measured((at - start) / DAY, machine)]
    used = {at: round(_used(machine, (at - start) / DAY, rng) * GIB) for at in moments}
    for name, own in (("node_memory_MemTotal_bytes", labels), ("node_filesystem_size_bytes", root)):
        yield from (f"{name}{{{own}}} {TOTAL} {at:.0f}\n" for at in moments)
    for name, own in (("node_memory_MemAvailable_bytes", labels), ("node_filesystem_avail_bytes", root)):
        yield from (f"{name}{{{own}}} {TOTAL - used[at]} {at:.0f}\n" for at in moments)
    for number, arrival in enumerate(machine.arrivals):
        own = f'{labels},name="job-{number}",image="backup:1"'
        lived = [at for at in moments if at >= start + arrival * DAY]
        yield from (f"container_last_seen{{{own}}} {at:.0f} {at:.0f}\n" for at in lived)
        scrapes = [at + offset for at in lived for offset in _SCRAPES]
        busy = f'{own},cpu="total"'
        yield from (f"container_cpu_usage_seconds_total{{{busy}}} {(at - start) / 2:.3f} {at:.0f}\n" for at in scrapes)
    read = 1e9
    for at in moments:
        rate = 2e6 * machine.containers((at - start) / DAY)
        for offset in _SCRAPES:
            yield f'node_disk_read_bytes_total{{{labels},device="sda"}} {read + offset * rate:.0f} {at + offset:.0f}\n'
        read += QUARTER * rate


def _moments(start: float, now: float) -> Iterator[float]:
    """Where the forecast's subquery looks: whole quarters of an hour."""
    at = (start // QUARTER + 1) * QUARTER
    while at <= now:
        yield at
        at += QUARTER


def _measured(day: float, machine: Machine) -> bool:
    return day >= machine.since and not _GAP[0] <= day <= _GAP[1]


def _used(machine: Machine, day: float, rng: random.Random) -> float:
    """GiB."""
    working = 1.0 if int(day) % _WEEK < _WORKING_DAYS else 0.8
    night = 1.0 if day % 1 * 24 < _NIGHT_ENDS else 0.7
    return machine.level(day) * working * night * rng.gauss(1.0, 0.01)
