"""The processes dockerd and containerd of the engine that is watched, and their descriptors.

A daemon that leaks descriptors answers until it has none left. The processes are found without asking the daemon: by
the peer of its socket (unix(7), SO_PEERCRED), which the kernel knows while the daemon hangs, else by name.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from collector.kernelfile import read_file
from collector.procfs import PARENT, START, count_descriptors, parse_open_files_limit, parse_stat

DOCKERD = "dockerd"
CONTAINERD = "containerd"

_UNIX = "unix://"
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid
_CONNECT_DEADLINE = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Process:
    """A process; `start` in ticks since boot tells a reused pid from the old process."""

    pid: int
    command: str
    parent: int
    start: int


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Open descriptors of a process and how many it may open; None where there is no limit or it can't be read."""

    open: int
    limit: int | None


def choose(processes: Sequence[Process], listener: int | None) -> dict[str, Process]:
    """The daemons among these: the dockerd that listens on the socket and its containerd, else the oldest of a name.

    With socket activation the listener is systemd, which is no dockerd and so doesn't count.
    """
    chosen: dict[str, Process] = {}
    daemons = sorted((p for p in processes if p.command == DOCKERD), key=lambda p: (p.pid != listener, p.start))
    if daemons:
        chosen[DOCKERD] = daemons[0]
        parent = daemons[0].pid
        runtimes = (p for p in processes if p.command == CONTAINERD)
        own = sorted(runtimes, key=lambda p: (p.parent != parent, p.parent != 1, p.start))
        if own:
            chosen[CONTAINERD] = own[0]
    return chosen


def listener_of(address: str) -> int | None:
    """The process that listens on an engine's Unix socket; None for other addresses, and where nobody listens."""
    if not address.startswith(_UNIX):
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_CONNECT_DEADLINE)
        try:
            connection.connect(address.removeprefix(_UNIX))
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except OSError:
            return None
    return int(_CREDENTIALS.unpack(credentials)[0]) or None


class DaemonProcesses:
    """Finds the daemons' processes once and again when one has ended."""

    def __init__(self, procfs: Path, address: str) -> None:
        self._procfs = procfs
        self._address = address
        self._known: dict[str, Process] = {}

    def descriptors(self) -> dict[str, Descriptors]:
        """Descriptors by `dockerd` and `containerd`, as far as they run."""
        if len(self._known) < len((DOCKERD, CONTAINERD)) or not all(map(self._lives, self._known.values())):
            self._known = choose(list(self._processes()), listener_of(self._address))
        found: dict[str, Descriptors] = {}
        for name, process in self._known.items():
            folder = f"{self._procfs}/{process.pid}"
            number = count_descriptors(folder)
            if number is not None:
                found[name] = Descriptors(number, _limit(folder))
        return found

    def _lives(self, process: Process) -> bool:
        return self._process(process.pid) == process

    def _processes(self) -> Iterator[Process]:
        for entry in self._procfs.iterdir():
            if entry.name.isdigit():
                process = self._process(int(entry.name))
                if process is not None:
                    yield process

    def _process(self, pid: int) -> Process | None:
        try:
            stat = parse_stat(read_file(f"{self._procfs}/{pid}/stat"))
        except OSError:
            return None
        if stat is None:
            return None
        command, fields = stat
        return Process(pid, command, int(fields[PARENT]), int(fields[START]))


def _limit(folder: str) -> int | None:
    try:
        return parse_open_files_limit(read_file(f"{folder}/limits"))
    except OSError:
        return None
