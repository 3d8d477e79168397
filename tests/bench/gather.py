"""What reading a container costs: the cgroup input beside a bare loop of pread(2) over the same files.

On the recorded cgroup v2 tree, so the files are ordinary ones: the ratio is ours against the least that any reader
must do.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from collector.blockdevices import BlockDevices
from collector.cgroup.hierarchy import detect_hierarchy
from collector.containers import ContainerIndex, Metadata
from collector.inputs.cgroup import CgroupInput
from collector.kernelfile import SkippedLines
from collector.oom import OomKills
from tests.bench.cost import microseconds
from tests.bench.reading import left_open

RECORDED = Path(__file__).parents[1] / "fixtures" / "cgroup2" / "t1"
ROUNDS = 2000


def run() -> dict[str, float]:
    """Microseconds of CPU per container, ours and the bare loop's, and the ratio."""
    hierarchy = detect_hierarchy((RECORDED / "proc/mounts").read_text(), RECORDED / "sys/fs/cgroup")
    index = ContainerIndex(hierarchy, lambda key: Metadata(key[:2], "image:1"))
    containers = len(index.refresh())
    source = CgroupInput(index, BlockDevices(RECORDED / "proc"), OomKills(), SkippedLines(), time.time)
    descriptors = left_open(source.gather)
    ours = microseconds(source.gather, ROUNDS)
    bare = microseconds(lambda: [os.pread(descriptor, 16384, 0) for descriptor in descriptors], ROUNDS)
    source.close()
    return {
        "containers": containers,
        "files_per_container": len(descriptors) / containers,
        "ours_us_per_container": ours / containers,
        "bare_pread_us_per_container": bare / containers,
        "ratio": ours / bare,
    }
