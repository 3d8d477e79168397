"""Processes inside containers, grouped by what they are (mariadbd, mariadb-backup, ...).

Source: /proc/PID/{stat,io,fd} (proc_pid_stat(5), proc_pid_io(5)). `smaps` is never read: it holds mmap_lock and stalls
a database. Counters of a group keep what ended processes have done, so they never run backwards.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from collector import procfs
from collector.containers import ContainerIndex
from collector.kernelfile import SkippedLines, is_number, parse_flat_keyed, read_file
from collector.metrics import Sample, Unit, counter, gauge

if TYPE_CHECKING:  # the settings' library isn't needed to read files
    from collector.settings import ProcessGroup

_L = ("name", "image", "group")

COUNT = gauge("vdbmon_processes", "Processes of this group.", *_L)
THREADS = gauge("vdbmon_process_threads", "Threads of this group.", *_L)
OPEN_FDS = gauge("vdbmon_process_open_fds", "Open file descriptors of this group.", *_L)
RESIDENT = gauge(
    "vdbmon_process_resident_memory_bytes",
    "Resident memory, shared pages counted in each.",
    *_L,
    unit=Unit.BYTES,
)
CPU = counter("vdbmon_process_cpu_seconds_total", "CPU time of this group.", *_L, unit=Unit.SECONDS)
READ_BYTES = counter(
    "vdbmon_process_read_bytes_total", "Bytes fetched from storage by this group.", *_L, unit=Unit.BYTES
)
WRITE_BYTES = counter("vdbmon_process_write_bytes_total", "Bytes sent to storage by this group.", *_L, unit=Unit.BYTES)
OLDEST_START = gauge(
    "vdbmon_process_oldest_start_time_seconds", "Start of the oldest process.", *_L, unit=Unit.TIMESTAMP
)

CONTAINER_PROCESSES = gauge("container_processes", "Processes in the container.", "name", "image")
CONTAINER_FDS = gauge("container_file_descriptors", "Open file descriptors in the container.", "name", "image")

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
OTHER = "other"


@dataclass(frozen=True, slots=True)
class ProcessReading:
    """One process. `start` is in clock ticks since boot and tells a reused pid from the old process.

    `read_bytes`, `write_bytes` and `open_fds` are None where they may not be read.
    """

    pid: int
    command: str
    start: int
    cpu: float
    threads: int
    resident: int
    read_bytes: int | None
    write_bytes: int | None
    open_fds: int | None


class Grouping:
    """Says which group a process belongs to, and remembers it for as long as the process keeps its name."""

    def __init__(self, groups: Sequence[ProcessGroup]) -> None:
        self._groups = groups
        self._by_command_line = any(group.pattern for group in groups)
        self._known: dict[tuple[int, int, str], str] = {}
        self._seen: dict[tuple[int, int, str], str] = {}

    def group_of(self, process: ProcessReading, command_line: Callable[[int], str]) -> str:
        """Name of the first group that fits. `command_line` of a pid is asked at most once in a process's life."""
        key = (process.pid, process.start, process.command)
        name = self._known.get(key)
        if name is None:
            name = self._match(process, command_line)
        self._seen[key] = name
        return name

    def forget_ended(self) -> None:
        """Drop what was not asked for since the last time."""
        self._known, self._seen = self._seen, {}

    def _match(self, process: ProcessReading, command_line: Callable[[int], str]) -> str:
        for group in self._groups:
            if group.exe and group.exe.fullmatch(process.command):
                return group.name
        line = command_line(process.pid) if self._by_command_line else ""
        return next((group.name for group in self._groups if group.pattern and group.pattern.match(line)), OTHER)


@dataclass(slots=True)
class _Group:
    """What the processes of a group have done, ended ones included."""

    cpu: float = 0.0
    read_bytes: int = 0
    write_bytes: int = 0

    def add(self, process: ProcessReading, before: ProcessReading | None) -> ProcessReading:
        """Add what the process did since `before`; what couldn't be read this time is taken over from there."""
        if before is None:
            before = replace(process, cpu=0.0, read_bytes=0, write_bytes=0)
        if process.read_bytes is None or process.write_bytes is None:
            process = replace(
                process,
                read_bytes=before.read_bytes if process.read_bytes is None else process.read_bytes,
                write_bytes=before.write_bytes if process.write_bytes is None else process.write_bytes,
            )
        self.cpu += process.cpu - before.cpu
        self.read_bytes += (process.read_bytes or 0) - (before.read_bytes or 0)
        self.write_bytes += (process.write_bytes or 0) - (before.write_bytes or 0)
        return process


@dataclass(slots=True)
class _Memory:
    """What a gathering leaves to the next one, by group and by pid.

    What is missing from one gathering is remembered for one more: a list that was torn, or descriptors that had run
    out, must not make a process count twice.
    """

    totals: dict[tuple[str, str, str], _Group] = field(default_factory=dict)
    processes: dict[int, ProcessReading] = field(default_factory=dict)

    def without(self, other: _Memory) -> _Memory:
        """What `other` does not have."""
        return _Memory(
            {key: total for key, total in self.totals.items() if key not in other.totals},
            {pid: process for pid, process in self.processes.items() if pid not in other.processes},
        )


class ProcessInput:
    """Reads the processes of each container and sums them by group.

    Args:
        folder: where /proc is.
    """

    name = "process"

    def __init__(
        self, index: ContainerIndex, folder: Path, groups: Sequence[ProcessGroup], skipped: SkippedLines
    ) -> None:
        self._index = index
        self._procfs = folder
        self._grouping = Grouping(groups)
        self._skipped = skipped
        self._last = _Memory()
        self._lost = _Memory()

    def gather(self) -> list[Sample]:
        """Gauges and counters per container and group; a group ends with its last process."""
        boot = self._boot_time()
        members: dict[tuple[str, str, str], list[ProcessReading]] = {}
        samples: list[Sample] = []
        for container in self._index.containers:
            labels = (container.name, container.image)
            processes = [process for process in map(self._read, container.pids) if process is not None]
            samples.extend(_container_samples(labels, processes))
            for process in processes:
                group = self._grouping.group_of(process, self._command_line)
                members.setdefault((*labels, group), []).append(process)
        self._grouping.forget_ended()
        seen = _Memory()
        for key, processes in members.items():
            total = seen.totals[key] = self._last.totals.get(key) or self._lost.totals.get(key) or _Group()
            for process in processes:
                seen.processes[process.pid] = total.add(process, self._before(process))
            samples.extend(_samples(key, processes, total, boot))
        self._lost, self._last = self._last.without(seen), seen
        return samples

    def _before(self, process: ProcessReading) -> ProcessReading | None:
        before = self._last.processes.get(process.pid) or self._lost.processes.get(process.pid)
        # With another start the pid is another process's now.
        return before if before is not None and before.start == process.start else None

    def _read(self, pid: int) -> ProcessReading | None:
        directory = f"{self._procfs}/{pid}"
        try:
            stat = procfs.parse_stat(read_file(f"{directory}/stat"))
        except OSError:
            return None  # it ended
        if stat is None:
            self._skipped.add()
            return self._last.processes.get(pid)
        command, fields = stat
        io = self._io(directory)
        return ProcessReading(
            pid=pid,
            command=command,
            start=int(fields[procfs.START]),
            cpu=(int(fields[procfs.UTIME]) + int(fields[procfs.STIME])) / _TICKS,
            threads=int(fields[procfs.THREADS]),
            resident=int(fields[procfs.RSS]) * _PAGE,
            read_bytes=io.get(b"read_bytes:"),
            write_bytes=io.get(b"write_bytes:"),
            open_fds=procfs.count_descriptors(directory),
        )

    def _io(self, directory: str) -> dict[bytes, int]:
        try:
            return parse_flat_keyed(read_file(f"{directory}/io"), self._skipped)
        except OSError:
            return {}

    def _command_line(self, pid: int) -> str:
        return procfs.read_command_line(f"{self._procfs}/{pid}")

    def _boot_time(self) -> float | None:
        try:
            _, _, rest = read_file(self._procfs / "stat").partition(b"\nbtime ")
        except OSError:
            return None
        seconds, end, _ = rest.partition(b"\n")
        return float(seconds) if end and is_number(seconds) else None


def _container_samples(labels: tuple[str, str], processes: Sequence[ProcessReading]) -> Iterator[Sample]:
    if not processes:
        return  # it ended since the index was refreshed
    yield Sample(CONTAINER_PROCESSES, labels, len(processes))
    descriptors = [process.open_fds for process in processes if process.open_fds is not None]
    if len(descriptors) == len(processes):
        yield Sample(CONTAINER_FDS, labels, sum(descriptors))


def _samples(
    labels: tuple[str, str, str], processes: list[ProcessReading], total: _Group, boot: float | None
) -> Iterator[Sample]:
    yield Sample(COUNT, labels, len(processes))
    yield Sample(THREADS, labels, sum(process.threads for process in processes))
    yield Sample(RESIDENT, labels, sum(process.resident for process in processes))
    yield Sample(CPU, labels, total.cpu)
    if all(process.read_bytes is not None for process in processes):
        yield Sample(READ_BYTES, labels, total.read_bytes)
    if all(process.write_bytes is not None for process in processes):
        yield Sample(WRITE_BYTES, labels, total.write_bytes)
    descriptors = [process.open_fds for process in processes if process.open_fds is not None]
    if len(descriptors) == len(processes):
        yield Sample(OPEN_FDS, labels, sum(descriptors))
    if boot is not None:
        yield Sample(OLDEST_START, labels, boot + min(process.start for process in processes) / _TICKS)
