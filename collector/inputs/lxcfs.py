"""lxcfs in containers: whose /proc shows their own limits by it, and whether it still answers.

lxcfs (lxc/lxcfs on GitHub) is a FUSE filesystem whose files are bound over /proc/meminfo, /proc/stat and others of a
container; `free`, `top` and `uptime` then show the container's limits instead of the host's. When it dies, every bound
file of every running container says "Transport endpoint is not connected", until the container is started anew; an
lxcfs that is started again is another filesystem, which only new containers have.

Nothing is measured through it. What a container has mounted is read every half minute, apart from the scrapes, from
/proc/PID/mountinfo; not even that on a host whose kernel has no FUSE. Each lxcfs is asked once, through one file of one
container, in a child process: a FUSE filesystem may hang.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from collector.background import Background
from collector.child import ChildPool, Unanswered
from collector.clock import Clock
from collector.containers import Container, ContainerIndex
from collector.kernelfile import SkippedLines, read_file
from collector.metrics import Sample, Unit, gauge
from collector.mountinfo import Mount, parse_mountinfo

MOUNTS = gauge("vdbmon_lxcfs_mounts", "Files and folders that the container has from lxcfs.", "name", "image")
HEALTHY = gauge(
    "vdbmon_lxcfs_healthy",
    "1 if the container's files from lxcfs can be read; at 0 free and top fail in it until it is started anew.",
    "name",
    "image",
)
LAST_READ = gauge(
    "vdbmon_lxcfs_last_read_timestamp_seconds", "When every lxcfs in use was last asked.", unit=Unit.TIMESTAMP
)

READ_EVERY = 30.0  # seconds; what is mounted changes with a container's start, and lxcfs dies seldom
_WAIT = 0.05  # seconds that a scrape waits for the round it started
_FSTYPE = "fuse.lxcfs"
_CPU_FOLDER = "/sys/devices/system/cpu"


@dataclass(frozen=True, slots=True)
class View:
    """A container with mounts from lxcfs."""

    container: Container
    mounts: tuple[Mount, ...]

    @property
    def numbers(self) -> frozenset[str]:
        """`major:minor` of every lxcfs that stands behind them: one, unless someone mounted by hand."""
        return frozenset(mount.number for mount in self.mounts)


@dataclass(frozen=True, slots=True)
class Round:
    """All that was found at one time; `healthy` is by `major:minor`, without those that nobody could ask."""

    views: tuple[View, ...]
    healthy: Mapping[str, bool]


class LxcfsInput:
    """Looks for mounts from lxcfs and asks each lxcfs in the background."""

    name = "lxcfs"

    def __init__(
        self, index: ContainerIndex, *, procfs: Path, children: ChildPool, skipped: SkippedLines, clock: Clock
    ) -> None:
        self._index = index
        self._procfs = procfs
        self._children = children
        self._skipped = skipped
        self._reading = Background("lxcfs", READ_EVERY, self._read, clock)

    def gather(self) -> list[Sample]:
        """What the last round found of every container that still runs; nothing where none has lxcfs."""
        self._reading.start_if_due()
        self._reading.wait(_WAIT)
        found = self._reading.result
        if found is None or not found.views or self._reading.last_success is None:
            return []
        samples = [LAST_READ.sample(self._reading.last_success)]
        # Under the names of now: a container's may have been learnt, or changed, since the round.
        running = {container.id: container for container in self._index.containers}
        for view in found.views:
            container = running.get(view.container.id)
            if container is not None:
                samples.extend(_samples(container, view, found.healthy))
        return samples

    def _read(self) -> Round:
        if b"\tfuse\n" not in read_file(self._procfs / "filesystems"):
            return Round((), {})
        seen = (View(container, self._mounts(container)) for container in self._index.containers)
        views = tuple(view for view in seen if view.mounts)
        numbers = sorted({number for view in views for number in view.numbers})
        answers = {number: self._healthy(number, views) for number in numbers}
        return Round(views, {number: answer for number, answer in answers.items() if answer is not None})

    def _mounts(self, container: Container) -> tuple[Mount, ...]:
        try:
            data = read_file(f"{self._procfs}/{container.pid}/mountinfo")
        except OSError:
            return ()  # it ended
        if _FSTYPE.encode() not in data:
            return ()
        return tuple(mount for mount in parse_mountinfo(data, self._skipped) if mount.fstype == _FSTYPE)

    def _healthy(self, number: str, views: Sequence[View]) -> bool | None:
        """Whether this lxcfs answers, asked through the first container with a file of it; None if none could be."""
        for view in views:
            paths = (_file_of(mount) for mount in view.mounts if mount.number == number)
            path = next((path for path in paths if path is not None), None)
            answer = None if path is None else self._readable(number, f"{self._procfs}/{view.container.pid}", path)
            if answer is not None:
                return answer
        return None

    def _readable(self, number: str, process: str, path: str) -> bool | None:
        request = b"\0".join((b"readable", number.encode(), os.fsencode(f"{process}/root{path}")))
        answer = self._children.ask(f"lxcfs {number}", request)
        if isinstance(answer, Unanswered):
            return None if answer is Unanswered.NO_CHILD else False
        match json.loads(answer):
            case {"read": _}:
                return True
            case {"errno": _} if Path(process).exists():
                return False
            case _:
                return None  # the container has ended, or another filesystem hides the file


def _file_of(mount: Mount) -> str | None:
    """A file below the mount that can be read; None where no such file is known."""
    if mount.root == _CPU_FOLDER:
        return f"{mount.point}/online"
    return mount.point if mount.root.startswith("/proc/") else None


def _samples(container: Container, view: View, healthy: Mapping[str, bool]) -> Iterator[Sample]:
    labels = (container.name, container.image)
    yield Sample(MOUNTS, labels, len(view.mounts))
    known = [healthy[number] for number in view.numbers if number in healthy]
    if known:
        yield Sample(HEALTHY, labels, float(all(known)))
