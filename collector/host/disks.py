"""Block devices from /proc/diskstats (Documentation/admin-guide/iostats.rst).

Sectors are of 512 bytes whatever the device. Times are milliseconds in 32 bits: they start anew after 49 days of I/O,
which a reader of counters takes for the reset that it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from collector.kernelfile import SkippedLines, complete_lines, is_number

# node_exporter's default: partitions repeat their disk. Its `loop` is not ignored: sized volumes are loop devices.
IGNORED = re.compile(r"(?:z?ram|fd|(?:h|s|v|xv)d[a-z]+|nvme\d+n\d+p)\d+")

_NAME = 2
_FIRST = 3
_FIELDS_BEFORE_4_18 = 11


def parse_diskstats(data: bytes, skipped: SkippedLines) -> Mapping[str, tuple[int, ...]]:
    """The numbers behind each device's name: 11, since Linux 4.18 15 (discards), since 5.5 17 (flushes).

    Loop devices that have done nothing are left out: the kernel has a row for each that could be.
    """
    devices: dict[str, tuple[int, ...]] = {}
    for line in complete_lines(data, skipped):
        fields = line.split()
        numbers = fields[_FIRST:]
        if len(numbers) < _FIELDS_BEFORE_4_18 or not all(map(is_number, numbers)):
            skipped.add()
            continue
        name = fields[_NAME].decode(errors="replace")
        values = tuple(map(int, numbers))
        if not IGNORED.fullmatch(name) and (any(values) or not name.startswith("loop")):
            devices[name] = values
    return devices
