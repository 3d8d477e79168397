"""Counters of network interfaces from /proc/PID/net/dev (proc_pid_net(5))."""

from __future__ import annotations

import re

from collector.kernelfile import SkippedLines, complete_lines, is_number

# Columns after the interface's name: 8 for receive, 8 for transmit.
COLUMNS = (
    *("receive_bytes", "receive_packets", "receive_errs", "receive_drop"),
    *("receive_fifo", "receive_frame", "receive_compressed", "receive_multicast"),
    *("transmit_bytes", "transmit_packets", "transmit_errs", "transmit_drop"),
    *("transmit_fifo", "transmit_colls", "transmit_carrier", "transmit_compressed"),
)
LOOPBACK = "lo"
_HEADER_LINES = 2
# As dev_valid_name of the kernel has it: the name becomes a folder of sysfs.
_NAME = re.compile(rb"(?!\.\.?$)[^/:\s\0]{1,15}")


def parse_net_dev(data: bytes, skipped: SkippedLines) -> dict[str, tuple[int, ...]]:
    """Counters by interface, in the order of `COLUMNS`."""
    interfaces: dict[str, tuple[int, ...]] = {}
    for number, line in enumerate(complete_lines(data, skipped)):
        if number < _HEADER_LINES:
            continue
        name, colon, rest = line.rpartition(b":")
        fields = rest.split()
        name = name.strip()
        if colon and _NAME.fullmatch(name) and len(fields) == len(COLUMNS) and all(map(is_number, fields)):
            interfaces[name.decode(errors="replace")] = tuple(map(int, fields))
        else:
            skipped.add()
    return interfaces
