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
from collector.cgroup.pulse import Pulse
from collector.containers import Container, ContainerIndex
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
_Key = tuple[str, str, str]  # name, image, group
_KEPT = 1000  # processes whose files stay open; three descriptors each


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
    """Says which group a process belongs to."""

    def __init__(self, groups: Sequence[ProcessGroup]) -> None:
        self._groups = groups
        self._by_command_line = any(group.pattern for group in groups)

    def match(self, command: str, command_line: Callable[[], str]) -> str:
        """Name of the first group that fits; `command_line` is asked only where the command doesn't tell."""
        for group in self._groups:
            if group.exe and group.exe.fullmatch(command):
                return group.name
        line = command_line() if self._by_command_line else ""
        return next((group.name for group in self._groups if group.pattern and group.pattern.match(line)), OTHER)


class _Process:
    """A process that is read again and again: its open files, what they said last, and its group."""

    __slots__ = ("_files", "_group", "_io", "_read_bytes", "_stat", "_write_bytes", "reading")

    def __init__(self, files: procfs.ProcessFiles) -> None:
        self._files = files
        self._stat = self._io = b""
        self._read_bytes: int | None = None
        self._write_bytes: int | None = None
        self._group: tuple[int, str, str] | None = None
        self.reading: ProcessReading | None = None

    def read(self, pid: int, skipped: SkippedLines) -> ProcessReading | None:
        """What it is now; the last reading where its stat is torn, the very same where nothing has changed.

        Raises:
            OSError: it ended.
        """
        stat, io, open_fds = self._files.read()
        before = self.reading
        if stat == self._stat and io == self._io and before is not None and before.open_fds == open_fds:
            return before
        if io != self._io:
            values = parse_flat_keyed(io, skipped)
            self._io, self._read_bytes, self._write_bytes = io, values.get(b"read_bytes:"), values.get(b"write_bytes:")
        parsed = procfs.parse_stat(stat)
        if parsed is None:
            skipped.add()
            return before
        command, fields = parsed
        self._stat = stat
        self.reading = ProcessReading(
            pid=pid,
            command=command,
            start=int(fields[procfs.START]),
            cpu=(int(fields[procfs.UTIME]) + int(fields[procfs.STIME])) / _TICKS,
            threads=int(fields[procfs.THREADS]),
            resident=int(fields[procfs.RSS]) * _PAGE,
            read_bytes=self._read_bytes,
            write_bytes=self._write_bytes,
            open_fds=open_fds,
        )
        return self.reading

    def group(self, reading: ProcessReading, grouping: Grouping, command_line: Callable[[int], str]) -> str:
        """Its group, looked for once in its life and again after an exec."""
        if self._group is None or self._group[:2] != (reading.start, reading.command):
            name = grouping.match(reading.command, lambda: command_line(reading.pid))
            self._group = (reading.start, reading.command, name)
        return self._group[2]

    def close(self) -> None:
        """Give the descriptors back."""
        self._files.close()


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

    totals: dict[_Key, _Group] = field(default_factory=dict)
    processes: dict[int, ProcessReading] = field(default_factory=dict)

    def without(self, other: _Memory) -> _Memory:
        """What `other` does not have."""
        return _Memory(
            {key: total for key, total in self.totals.items() if key not in other.totals},
            {pid: process for pid, process in self.processes.items() if pid not in other.processes},
        )


@dataclass(frozen=True, slots=True)
class _Told:
    """What a group was told as: the readings behind it, its totals then, its processes by pid, its samples."""

    readings: list[ProcessReading]
    boot: float | None
    total: _Group
    processes: dict[int, ProcessReading]
    samples: list[Sample]


@dataclass(frozen=True, slots=True)
class _Idle:
    """What was read of a container's processes, and its pulse before that."""

    pulse: Pulse | None
    pids: tuple[int, ...]
    processes: list[tuple[ProcessReading, str]]


class ProcessInput:
    """Reads the processes of each container that ran since the last time, and sums them by group.

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
        self._open: dict[int, _Process] = {}
        self._idle: dict[str, _Idle] = {}
        self._told: dict[_Key, _Told] = {}
        self._last = _Memory()
        self._lost = _Memory()

    def gather(self) -> list[Sample]:
        """Gauges and counters per container and group; a group ends with its last process."""
        boot = self._boot_time()
        members: dict[_Key, list[ProcessReading]] = {}
        samples: list[Sample] = []
        known, self._open = self._open, {}
        before, self._idle = self._idle, {}
        for container in self._index.containers:
            labels = (container.name, container.image)
            processes = self._processes(container, before.get(container.id), known)
            samples.extend(_container_samples(labels, [reading for reading, _ in processes]))
            for reading, group in processes:
                members.setdefault((*labels, group), []).append(reading)
        for ended in known.values():
            ended.close()
        seen = _Memory()
        known_groups, self._told = self._told, {}
        for key, readings in members.items():
            told = known_groups.get(key)
            # The same readings have the same sums: comparing objects that are the same costs next to nothing.
            if told is None or told.readings != readings or told.boot != boot:
                told = self._tell(key, readings, boot)
            self._told[key] = told
            seen.totals[key] = told.total
            seen.processes.update(told.processes)
            samples.extend(told.samples)
        self._lost, self._last = self._last.without(seen), seen
        return samples

    def _tell(self, key: _Key, readings: list[ProcessReading], boot: float | None) -> _Told:
        """Add to a group's totals what its processes have done since the last time."""
        total = self._last.totals.get(key) or self._lost.totals.get(key) or _Group()
        processes = {reading.pid: total.add(reading, self._before(reading)) for reading in readings}
        return _Told(readings, boot, total, processes, [*_samples(key, readings, total, boot)])

    def close(self) -> None:
        """Give all descriptors back."""
        for process in self._open.values():
            process.close()
        self._open.clear()

    def _before(self, process: ProcessReading) -> ProcessReading | None:
        before = self._last.processes.get(process.pid) or self._lost.processes.get(process.pid)
        # With another start the pid is another process's now.
        return before if before is not None and before.start == process.start else None

    def _processes(
        self, container: Container, idle: _Idle | None, known: dict[int, _Process]
    ) -> list[tuple[ProcessReading, str]]:
        """The container's processes and their groups; of one in which nothing has run, what was read then."""
        pulse = self._index.pulse(container)
        if idle is None or pulse is None or idle.pulse != pulse or idle.pids != container.pids:
            read = (self._read(pid, known) for pid in container.pids)
            idle = _Idle(pulse, container.pids, [pair for pair in read if pair is not None])
        else:
            self._open.update((pid, known.pop(pid)) for pid in container.pids if pid in known)
        self._idle[container.id] = idle
        return idle.processes

    def _read(self, pid: int, known: dict[int, _Process]) -> tuple[ProcessReading, str] | None:
        """A process and its group; what is open moves from `known` to the open ones. None once it ended."""
        # A process that is moved while the index is refreshed may be listed in two containers.
        process = known.pop(pid, None) or self._open.pop(pid, None)
        for _ in range(2):  # what was open may belong to a process that ended, and the pid to a new one
            try:
                if process is None:
                    process = _Process(procfs.ProcessFiles(f"{self._procfs}/{pid}", keep=len(self._open) < _KEPT))
                reading = process.read(pid, self._skipped)
            except OSError:
                if process is not None:
                    process.close()
                    process = None
            else:
                self._open[pid] = process
                return (
                    None if reading is None else (reading, process.group(reading, self._grouping, self._command_line))
                )
        return None

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
