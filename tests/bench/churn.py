"""What stays behind when containers come and go: memory and descriptors from the first gatherings to the last.

On copies of the recorded cgroup v1 container, in memory: every few gatherings one of them ends and a new one, of
another id and name, begins.
"""

from __future__ import annotations

import contextlib
import tempfile
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
from tests.bench.reading import Host
from tests.bench.recorded import RecordedHost

LIVING = 5
EVERY = 5
GATHERINGS = 10_000
WARM_UP = 1_000


@contextlib.contextmanager
def collecting(host: Host) -> Iterator[Callable[[], bytes]]:
    """One gathering of all container inputs and its exposition."""
    procfs, skipped = host.procfs, SkippedLines()
    hierarchy = detect_hierarchy((procfs / "mounts").read_text(), host.cgroupfs)
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
        collecting((recorded := RecordedHost(Path(folder), LIVING)).host) as collect,
    ):
        for number in range(gatherings):
            if number % EVERY == 0:
                recorded.replace_one()
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
