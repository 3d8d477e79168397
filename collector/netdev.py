"""Counters of network interfaces from /proc/PID/net/dev (proc_pid_net(5))."""

from __future__ import annotations

from collector.kernelfile import SkippedLines, complete_lines

# Columns after the interface's name: 8 for receive, 8 for transmit.
COLUMNS = (
    *("receive_bytes", "receive_packets", "receive_errs", "receive_drop"),
    *("receive_fifo", "receive_frame", "receive_compressed", "receive_multicast"),
    *("transmit_bytes", "transmit_packets", "transmit_errs", "transmit_drop"),
    *("transmit_fifo", "transmit_colls", "transmit_carrier", "transmit_compressed"),
)
LOOPBACK = "lo"
_HEADER_LINES = 2


def parse_net_dev(data: bytes, skipped: SkippedLines) -> dict[str, tuple[int, ...]]:
    """Counters by interface, in the order of `COLUMNS`."""
    interfaces: dict[str, tuple[int, ...]] = {}
    for number, line in enumerate(complete_lines(data, skipped)):
        if number < _HEADER_LINES:
            continue
        name, colon, rest = line.rpartition(b":")
        fields = rest.split()
        if colon and len(fields) == len(COLUMNS) and all(map(bytes.isdigit, fields)):
            interfaces[name.strip().decode(errors="replace")] = tuple(map(int, fields))
        else:
            skipped.add()
    return interfaces
