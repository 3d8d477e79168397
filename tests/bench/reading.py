"""What reading the containers' files costs, ours beside a bare loop of pread(2) over the same fixed list of files.

CPU in this process; system calls in a process of its own under `strace -c -f`, apart from the timed run, as the
difference between two numbers of rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from collector.blockdevices import BlockDevices
from collector.cgroup.hierarchy import detect_hierarchy
from collector.containers import ContainerIndex, Metadata, read_metadata
from collector.inputs.cgroup import CgroupInput
from collector.inputs.network import NetworkInput
from collector.kernelfile import SkippedLines
from collector.oom import OomKills
from tests.bench.cost import microseconds

ROUNDS = 1500  # divided by the number of containers
LEAST_ROUNDS = 20
TRACED_ROUNDS = (2, 12)
SIDES = ("ours", "pread")


@dataclass(frozen=True, slots=True)
class Host:
    """Where containers are read: the machine itself, or recorded trees."""

    procfs: Path
    cgroupfs: Path
    docker_root: Path

    def metadata(self, container_id: str) -> Metadata | None:
        """What the daemon's files say; a recorded container is called after its id."""
        found = read_metadata(self.docker_root, container_id)
        return found or (Metadata(container_id[-12:], "image:1") if self.procfs != Path("/proc") else None)


@dataclass(frozen=True, slots=True)
class Sides:
    """Both ways to read the containers of a host once."""

    containers: int
    files: int
    samples: int
    ours: Callable[[], object]
    pread: Callable[[], object]


@contextlib.contextmanager
def both_sides(host: Host) -> Iterator[Sides]:
    """All cgroup and network files of all containers: on the machine itself also of those that are not ours."""
    hierarchy = detect_hierarchy((host.procfs / "mounts").read_text(), host.cgroupfs)
    index = ContainerIndex(hierarchy, host.metadata)
    containers = index.refresh()
    cgroup = CgroupInput(index, BlockDevices(host.procfs), OomKills(), SkippedLines(), time.time)
    network = NetworkInput(index, host.procfs, SkippedLines())
    samples = 0

    def gather() -> None:
        nonlocal samples
        samples = len(cgroup.gather()) + len(network.gather())

    kept = left_open(gather)
    of_network = [os.open(host.procfs / f"{container.pid}/net/dev", os.O_RDONLY) for container in containers]
    files = (*kept, *of_network)
    try:
        yield Sides(
            containers=len(containers),
            files=len(files),
            samples=samples,
            ours=lambda: (cgroup.gather(), network.gather()),
            pread=lambda: [os.pread(number, 16384, 0) for number in files],
        )
    finally:
        for number in of_network:
            os.close(number)
        cgroup.close()


def left_open(call: Callable[[], object]) -> list[int]:
    """The descriptors that a call opens and keeps."""
    before = _descriptors()
    call()
    return [number for number in _descriptors() - before if _is_open(number)]


def measure(host: Host) -> dict[str, float]:
    """Files, microseconds of CPU and system calls per container, of both sides."""
    with both_sides(host) as sides:
        count = sides.containers
        rounds = max(ROUNDS // count, LEAST_ROUNDS)
        spent = {"ours": microseconds(sides.ours, rounds), "pread": microseconds(sides.pread, rounds)}
        figures = {
            "files per container": sides.files / count,
            "samples per container": sides.samples / count,
            **{f"{side}: us per container": spent[side] / count for side in SIDES},
            "ours / pread": spent["ours"] / spent["pread"],
        }
    if shutil.which("strace") is not None:
        calls = {side: system_calls(host, side) for side in SIDES}
        figures.update({f"{side}: system calls per container": calls[side] / count for side in SIDES})
    return figures


def system_calls(host: Host, side: str) -> float:
    """System calls of one round."""
    fewer, more = (_traced(host, side, rounds) for rounds in TRACED_ROUNDS)
    return (more - fewer) / (TRACED_ROUNDS[1] - TRACED_ROUNDS[0])


def _traced(host: Host, side: str, rounds: int) -> int:
    with tempfile.NamedTemporaryFile(prefix="vdbmon-strace-") as summary:
        folders = (str(host.procfs), str(host.cgroupfs), str(host.docker_root))
        program = [sys.executable, "-m", "tests.bench.reading", side, str(rounds), *folders]
        subprocess.run(["strace", "-c", "-f", "-o", summary.name, *program], check=True, timeout=120)
        return parse_total_calls(Path(summary.name).read_text())


def parse_total_calls(summary: str) -> int:
    """The sum that `strace -c` prints: `100.00    0.012345          10      1234        56 total`."""
    (line,) = [line for line in summary.splitlines() if line.endswith(" total")]
    return int(line.split()[3])


def _descriptors() -> set[int]:
    return {int(entry.name) for entry in Path("/proc/self/fd").iterdir()}


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def main() -> None:
    """Some rounds of one side, for strace."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("rounds", type=int)
    parser.add_argument("folders", type=Path, nargs=3)
    options = parser.parse_args()
    with both_sides(Host(*options.folders)) as sides:
        once = sides.ours if options.side == "ours" else sides.pread
        for _ in range(options.rounds):
            once()


if __name__ == "__main__":
    main()
