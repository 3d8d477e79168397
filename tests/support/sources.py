"""Every input as the fault tests see it; here those that read the kernel's files and the daemon's.

A new input is one line in `SOURCES`: a recorded tree, a function that builds the input on a copy of it, and the files
that it reads.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from collector.blockdevices import BlockDevices
from collector.cgroup.hierarchy import Hierarchy, detect_hierarchy
from collector.containers import ContainerIndex, Metadata, read_metadata
from collector.docker_files import ContainerFiles
from collector.inputs import containers, docker, host, process
from collector.inputs.cgroup import CgroupInput
from collector.inputs.containers import ContainersInput
from collector.inputs.host import HostInput
from collector.inputs.network import NetworkInput
from collector.inputs.process import ProcessInput
from collector.kernelfile import SkippedLines
from collector.metrics import Metric, Sample
from collector.oom import OomKills
from collector.settings import DEFAULT_PROCESS_GROUPS
from collector.statvfs import FilesystemUsage, StatvfsPool
from tests.support.answer_sources import ANSWER_SOURCES
from tests.support.source import NOW, Opened, Source, recorded


class NoFilesystems(StatvfsPool):
    """Answers at once, and the same for all: the fault tests are about files, not about child processes."""

    def usage(self, paths: Sequence[str]) -> dict[str, FilesystemUsage]:
        return dict.fromkeys(paths, FilesystemUsage(100, 50, 40, 10, 5, device="8:1"))


class Closable(Protocol):
    """What holds descriptors."""

    def close(self) -> None: ...


def closer(*parts: Closable) -> Callable[[], None]:
    """Closes all of them."""

    def close() -> None:
        for part in parts:
            part.close()

    return close


def one_container_of_v2(root: Path) -> None:
    """The recorded v2 tree with `db` alone, and with the links to network namespaces that the recording lacks."""
    recorded("cgroup2", "t1")(root)
    for other in (root / "sys/fs/cgroup/docker").iterdir():
        if other.is_dir() and not other.name.startswith("b2"):
            shutil.rmtree(other)
    for folder in (root / "proc").glob("[0-9]*"):
        (folder / "ns").mkdir()
        (folder / "ns/net").symlink_to(f"net:[{folder.name}]")


def _index(root: Path) -> ContainerIndex:
    hierarchy = detect_hierarchy((root / "proc/mounts").read_text(), root / "sys/fs/cgroup")
    index = ContainerIndex(hierarchy, lambda key: Metadata(key[:2], "image:1", network_mode="bridge"))
    index.refresh()
    return index


def _cgroup(root: Path, skipped: SkippedLines) -> Opened:
    index = _index(root)
    source = CgroupInput(index, BlockDevices(root / "proc"), OomKills(), skipped, lambda: NOW)
    return Opened(source.gather, closer(source, index))


def _network(root: Path, skipped: SkippedLines) -> Opened:
    index = _index(root)
    return Opened(NetworkInput(index, root / "proc", skipped).gather, index.close)


def _ran(hierarchy: Hierarchy) -> Callable[[], None]:
    """Moves the CPU time of all containers on: where nothing has run nothing is read again."""
    if hierarchy.v2 is not None:
        clocks = list(hierarchy.v2.rglob("cpu.stat"))
    else:
        clocks = list(hierarchy.v1["cpuacct"].rglob("cpuacct.usage"))
    times = itertools.count(1)

    def run() -> None:
        text = f"{next(times)}\n"
        for clock in clocks:
            clock.write_text(text)

    return run


def _process(root: Path, skipped: SkippedLines) -> Opened:
    index = _index(root)
    source = ProcessInput(index, root / "proc", DEFAULT_PROCESS_GROUPS, skipped)
    run = _ran(index.hierarchy)

    def gather() -> Sequence[Sample]:
        run()
        index.refresh()
        return source.gather()

    return Opened(gather, closer(source, index))


def _host(root: Path, skipped: SkippedLines) -> Opened:
    # A minute passes between two gatherings, so that nothing is kept for being young.
    minutes = itertools.count(0, 60)
    source = HostInput(
        root / "proc", root / "sys", NoFilesystems(), skipped, lambda: NOW, monotonic=lambda: float(next(minutes))
    )
    return Opened(source.gather, source.close)


def _containers(root: Path, _: SkippedLines) -> Opened:
    hierarchy = detect_hierarchy((root / "proc/mounts").read_text(), root / "sys/fs/cgroup")
    index = ContainerIndex(hierarchy, lambda key: read_metadata(root / "docker", key))
    source = ContainersInput(index)
    run = _ran(hierarchy)

    def gather() -> Sequence[Sample]:
        run()
        index.invalidate_all()  # as after an event: the daemon's files are read again
        return source.gather()

    return Opened(gather, index.close)


def _docker(root: Path, skipped: SkippedLines) -> Opened:
    files = ContainerFiles(lambda: root / "docker", skipped)
    return Opened(lambda: list(docker.container_samples(files.scan(), NOW)))


_PROCESS_SUMS = frozenset(
    metric for metric in vars(process).values() if isinstance(metric, Metric) and metric is not process.OLDEST_START
)

SOURCES = (
    Source(
        "cgroup v1",
        recorded("cgroup1"),
        _cgroup,
        ("sys/fs/cgroup/*/docker/*/[!c]*.*", "sys/fs/cgroup/*/docker/*/cpu*.*", "proc/diskstats"),
        uncounted=("proc/diskstats",),
        stand_ins=frozenset({"254:0"}),
    ),
    Source(
        "cgroup v2",
        one_container_of_v2,
        _cgroup,
        (
            *(f"sys/fs/cgroup/docker/*/cpu.{name}" for name in ("stat", "max", "weight", "pressure")),
            *(f"sys/fs/cgroup/docker/*/memory.{name}" for name in ("stat", "events", "current", "peak", "max")),
            *(f"sys/fs/cgroup/docker/*/memory.{name}" for name in ("swap.current", "pressure")),
            *(f"sys/fs/cgroup/docker/*/io.{name}" for name in ("stat", "max", "pressure")),
            *(f"sys/fs/cgroup/docker/*/pids.{name}" for name in ("current", "max")),
        ),
    ),
    Source("network", recorded("cgroup1"), _network, ("proc/[0-9]*/net/dev",)),
    Source(
        "process",
        recorded("cgroup1"),
        _process,
        ("proc/[0-9]*/stat", "proc/[0-9]*/io", "proc/stat", "sys/fs/cgroup/memory/docker/*/cgroup.procs"),
        sums=_PROCESS_SUMS,
        minima=frozenset({process.OLDEST_START}),
        uncounted=("proc/stat", "cgroup.procs"),
        weight=2,
    ),
    Source(
        "host",
        recorded("host"),
        _host,
        (
            *("proc/stat", "proc/loadavg", "proc/meminfo", "proc/vmstat", "proc/diskstats", "proc/cpuinfo"),
            *(
                "proc/pressure/*",
                "proc/sys/fs/file-nr",
                "proc/net/dev",
                "proc/net/snmp",
                "proc/1/mounts",
                "sys/class/net/*/*",
            ),
        ),
        sums=frozenset({host.CPU_CORES}),
        about=frozenset({host.COLLECTOR_DURATION, host.COLLECTOR_SUCCESS}),
        uncounted=("proc/cpuinfo",),
        weight=1,
    ),
    Source(
        "containers",
        recorded("cgroup1"),
        _containers,
        ("sys/fs/cgroup/memory/docker/*/cgroup.procs", "docker/containers/*/*.json"),
        sums=frozenset({containers.RUNNING}),
        about=frozenset({containers.UNNAMED}),
        uncounted=("cgroup.procs", "*.json"),
        stand_ins=frozenset({"c1" * 6, "20786", "20787"}),
    ),
    Source(
        "docker",
        recorded("cgroup1"),
        _docker,
        ("docker/containers/*/config.v2.json",),
        sums=frozenset({docker.STATES}),
        uncounted=("*.json",),
    ),
    *ANSWER_SOURCES,
)
