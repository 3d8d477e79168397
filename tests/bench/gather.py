"""What reading a container costs: the cgroup input beside a bare loop of pread(2) over the same files.

On the recorded cgroup v2 tree, so the files are ordinary ones: the ratio is ours against the least that any reader
must do.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from collector.blockdevices import BlockDevices
from collector.cgroup.hierarchy import detect_hierarchy
from collector.containers import ContainerIndex, Metadata
from collector.inputs.cgroup import CgroupInput
from collector.kernelfile import SkippedLines
from collector.oom import OomKills

RECORDED = Path(__file__).parents[1] / "fixtures" / "cgroup2" / "t1"
ROUNDS = 2000


def run() -> dict[str, float]:
    """Microseconds of CPU per container, ours and the bare loop's, and the ratio."""
    hierarchy = detect_hierarchy((RECORDED / "proc/mounts").read_text(), RECORDED / "sys/fs/cgroup")
    index = ContainerIndex(hierarchy, lambda key: Metadata(key[:2], "image:1"))
    containers = len(index.refresh())
    source = CgroupInput(index, BlockDevices(RECORDED / "proc"), OomKills(), SkippedLines(), time.time)
    before = set(_descriptors())
    source.gather()
    descriptors = [number for number in _descriptors() if number not in before and _is_open(number)]
    ours = _cpu_seconds(source.gather)
    bare = _cpu_seconds(lambda: [os.pread(descriptor, 16384, 0) for descriptor in descriptors])
    source.close()
    per_container = 1e6 / ROUNDS / containers
    return {
        "containers": containers,
        "files_per_container": len(descriptors) / containers,
        "ours_us_per_container": ours * per_container,
        "bare_pread_us_per_container": bare * per_container,
        "ratio": ours / bare,
    }


def _descriptors() -> list[int]:
    return [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _cpu_seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    for _ in range(ROUNDS):
        call()
    return time.process_time() - start
