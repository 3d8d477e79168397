"""Processes inside containers, grouped by what they are (mariadbd, mariadb-backup, ...).

Source: /proc/PID/{stat,io,fd} (proc_pid_stat(5), proc_pid_io(5)). `smaps` is never read: it holds mmap_lock and stalls
a database. Counters of a group keep what ended processes have done, so they never run backwards.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from collector.containers import ContainerIndex
from collector.kernelfile import SkippedLines, parse_flat_keyed, read_file
from collector.metrics import Sample, Unit, counter, gauge

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

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
OTHER = "other"

# Fields of /proc/PID/stat after the closing parenthesis of the command, counted from `state` (proc_pid_stat(5)).
_UTIME, _STIME, _THREADS, _START, _RSS = 11, 12, 17, 19, 21


@dataclass(frozen=True, slots=True)
class ProcessReading:
    """One process. `start` is in clock ticks since boot and tells a reused pid from the old process.

    `read_bytes` and `write_bytes` are None where /proc/PID/io may not be read.
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


def parse_stat(data: bytes) -> tuple[str, list[bytes]] | None:
    """Command and the fields from `state` on; the command may hold spaces and parentheses. None if torn."""
    _, opening, rest = data.partition(b"(")
    command, closing, tail = rest.rpartition(b")")
    fields = tail.split()
    if not (opening and closing and data.endswith(b"\n")) or len(fields) <= _RSS:
        return None
    if not all(fields[index].isdigit() for index in (_UTIME, _STIME, _THREADS, _START, _RSS)):
        return None
    return command.decode(errors="replace"), fields


@dataclass(slots=True)
class _Group:
    """What the processes of a group have done, ended ones included."""

    cpu: float = 0.0
    read_bytes: float = 0.0
    write_bytes: float = 0.0


class ProcessInput:
    """Reads the processes of each container and sums them by group."""

    name = "process"

    def __init__(self, index: ContainerIndex, procfs: Path, groups: Iterable[str], skipped: SkippedLines) -> None:
        self._index = index
        self._procfs = procfs
        self._groups = frozenset(groups)
        self._skipped = skipped
        self._totals: dict[tuple[str, str, str], _Group] = {}
        self._last: dict[tuple[int, int], ProcessReading] = {}

    def gather(self) -> list[Sample]:
        """Gauges and counters per container and group; a group ends with its last process."""
        boot = self._boot_time()
        members: dict[tuple[str, str, str], list[ProcessReading]] = {}
        for container in self._index.containers:
            for pid in container.pids:
                process = self._read(pid)
                if process is not None:
                    group = process.command if process.command in self._groups else OTHER
                    members.setdefault((container.name, container.image, group), []).append(process)
        self._totals = {labels: self._totals.get(labels) or _Group() for labels in members}
        last: dict[tuple[int, int], ProcessReading] = {}
        samples: list[Sample] = []
        for labels, processes in members.items():
            for process in processes:
                self._add(self._totals[labels], process)
                last[process.pid, process.start] = process
            samples.extend(_samples(labels, processes, self._totals[labels], boot))
        self._last = last
        return samples

    def _add(self, total: _Group, process: ProcessReading) -> None:
        before = self._last.get((process.pid, process.start))
        total.cpu += process.cpu - (before.cpu if before else 0.0)
        total.read_bytes += (process.read_bytes or 0) - ((before.read_bytes or 0) if before else 0)
        total.write_bytes += (process.write_bytes or 0) - ((before.write_bytes or 0) if before else 0)

    def _read(self, pid: int) -> ProcessReading | None:
        directory = f"{self._procfs}/{pid}"
        try:
            stat = parse_stat(read_file(f"{directory}/stat"))
        except OSError:
            return None  # it ended
        if stat is None:
            self._skipped.add()
            return None
        command, fields = stat
        io = self._io(directory)
        return ProcessReading(
            pid=pid,
            command=command,
            start=int(fields[_START]),
            cpu=(int(fields[_UTIME]) + int(fields[_STIME])) / _TICKS,
            threads=int(fields[_THREADS]),
            resident=int(fields[_RSS]) * _PAGE,
            read_bytes=io.get(b"read_bytes:"),
            write_bytes=io.get(b"write_bytes:"),
            open_fds=_count_descriptors(directory),
        )

    def _io(self, directory: str) -> dict[bytes, int]:
        try:
            return parse_flat_keyed(read_file(f"{directory}/io"), self._skipped)
        except OSError:
            return {}

    def _boot_time(self) -> float | None:
        try:
            lines = read_file(self._procfs / "stat").splitlines()
        except OSError:
            return None
        return next((float(line.split()[1]) for line in lines if line.startswith(b"btime ")), None)


def _count_descriptors(directory: str) -> int | None:
    try:
        # Linux 6.2 and newer give the count as the directory's size; older ones give 0 and are listed.
        return os.stat(f"{directory}/fd").st_size or len(os.listdir(f"{directory}/fd"))  # noqa: PTH116, PTH208
    except OSError:
        return None


def _samples(
    labels: tuple[str, str, str], processes: list[ProcessReading], total: _Group, boot: float | None
) -> Iterable[Sample]:
    yield Sample(COUNT, labels, len(processes))
    yield Sample(THREADS, labels, sum(process.threads for process in processes))
    yield Sample(RESIDENT, labels, sum(process.resident for process in processes))
    yield Sample(CPU, labels, total.cpu)
    if all(process.read_bytes is not None for process in processes):
        yield Sample(READ_BYTES, labels, total.read_bytes)
        yield Sample(WRITE_BYTES, labels, total.write_bytes)
    descriptors = [process.open_fds for process in processes if process.open_fds is not None]
    if len(descriptors) == len(processes):
        yield Sample(OPEN_FDS, labels, sum(descriptors))
    if boot is not None:
        yield Sample(OLDEST_START, labels, boot + min(process.start for process in processes) / _TICKS)
