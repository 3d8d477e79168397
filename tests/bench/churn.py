"""What stays behind when containers come and go: memory and descriptors from the first gatherings to the last.

On copies of the recorded cgroup v1 container, in memory: every few gatherings one of them ends and a new one, of
another id and name, begins.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from collector.blockdevices import BlockDevices
from collector.cgroup.hierarchy import detect_hierarchy
from collector.containers import ContainerIndex, Metadata
from collector.inputs.cgroup import CgroupInput
from collector.inputs.containers import ContainersInput
from collector.inputs.network import NetworkInput
from collector.inputs.process import ProcessInput
from collector.kernelfile import SkippedLines
from collector.oom import OomKills
from collector.projections.prometheus import Exposition
from collector.settings import DEFAULT_PROCESS_GROUPS

RECORDED = Path(__file__).parents[1] / "fixtures" / "cgroup1"
LIVING = 5
EVERY = 5
GATHERINGS = 10_000
WARM_UP = 1_000


class Tree:
    """A host's cgroups and /proc whose containers are replaced one by one."""

    def __init__(self, root: Path) -> None:
        shutil.copytree(RECORDED, root, symlinks=True, dirs_exist_ok=True)
        self.root = root
        self._controllers = list((root / "sys/fs/cgroup").iterdir())
        (self._recorded,) = (folder.name for folder in (self._controllers[0] / "docker").iterdir())
        self._numbers = itertools.count(1)
        self._alive: deque[str] = deque()
        for controller in self._controllers:
            (controller / "docker" / self._recorded).rename(controller / "recorded")
        for _ in range(LIVING):
            self._start()

    def replace_one(self) -> None:
        """The oldest container ends, a new one begins."""
        ended = self._alive.popleft()
        for controller in self._controllers:
            shutil.rmtree(controller / "docker" / ended)
        self._start()

    def _start(self) -> None:
        name = f"{next(self._numbers):064x}"
        for controller in self._controllers:
            shutil.copytree(controller / "recorded", controller / "docker" / name)
        self._alive.append(name)


@contextlib.contextmanager
def collecting(tree: Tree) -> Iterator[Callable[[], bytes]]:
    """One gathering of all container inputs and its exposition."""
    procfs, skipped = tree.root / "proc", SkippedLines()
    hierarchy = detect_hierarchy((procfs / "mounts").read_text(), tree.root / "sys/fs/cgroup")
    index = ContainerIndex(hierarchy, lambda key: Metadata(f"backup-{key[-6:]}", "image:1"))
    cgroups = CgroupInput(index, BlockDevices(procfs), OomKills(), skipped, lambda: 5.0)
    inputs = (
        *(ContainersInput(index), cgroups),
        *(NetworkInput(index, procfs, skipped), ProcessInput(index, procfs, DEFAULT_PROCESS_GROUPS, skipped)),
    )
    exposition = Exposition("host")
    yield lambda: exposition.render([sample for source in inputs for sample in source.gather()])
    cgroups.close()


def measure(gatherings: int, warm_up: int) -> dict[str, float]:
    """MiB and descriptors that the gatherings after the warm-up have added, and how many containers came and went."""
    process = psutil.Process()
    at_warm_up = (0, 0)
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as folder,
        collecting(tree := Tree(Path(folder))) as collect,
    ):
        for number in range(gatherings):
            if number % EVERY == 0:
                tree.replace_one()
            collect()
            if number + 1 == warm_up:
                at_warm_up = (process.memory_info().rss, process.num_fds())
        memory, descriptors = process.memory_info().rss - at_warm_up[0], process.num_fds() - at_warm_up[1]
    return {
        "gatherings": gatherings,
        "containers_replaced": gatherings / EVERY,
        "memory_growth_mib": memory / 2**20,
        "descriptor_growth": descriptors,
    }


def run() -> dict[str, float]:
    """Growth from the 1,000th to the 10,000th gathering."""
    return measure(GATHERINGS, WARM_UP)
