"""What the container dashboards of both data sources show alike; only the questions are in two languages."""

from __future__ import annotations

from grafanalib.formatunits import BYTES_IEC, BYTES_SEC, IO_OPS_PER_SEC, PACKETS_SEC, PERCENT_UNIT, SHORT

from alerts import thresholds
from dashboards.colours import above
from dashboards.panels import Graph, Number

THROTTLED_NOW = Number(
    "throttled-now",
    "CPU throttled",
    "Share of periods in which the quota ran out. Red: the job would be done sooner with a higher CPU limit.",
    unit=PERCENT_UNIT,
    steps=above(thresholds.THROTTLED_RATIO),
)
CPU_AGAINST_QUOTA = Graph(
    "cpu-against-quota",
    "CPU against quota, cores",
    "Used CPU and the quota. On the line: the quota sets the pace; raise it if the job is late.",
    unit=SHORT,
)
CPU_BY_MODE = Graph(
    "cpu-by-mode",
    "CPU by mode, cores",
    "Compression is user time. Much system time: many small reads and writes, or page faults.",
    unit=SHORT,
    stacked=True,
)
CPU_THROTTLED = Graph(
    "cpu-throttled",
    "CPU throttled",
    "Share of periods in which the quota ran out. Above the line the CPU limit, not the disk, sets the pace.",
    unit=PERCENT_UNIT,
    steps=above(thresholds.THROTTLED_RATIO),
)
READ_AGAINST_LIMIT = Graph(
    "read-against-limit",
    "Read against limit",
    "Bytes read by device. Steady on the limit is what a limit is for; raise it only if the job is late.",
    unit=BYTES_SEC,
)
WRITE_AGAINST_LIMIT = Graph(
    "write-against-limit",
    "Written against limit",
    "Bytes written by device. On cgroup v1 buffered writes pass the limit and count for the host instead.",
    unit=BYTES_SEC,
)
IO_OPERATIONS = Graph(
    "io-operations",
    "Disk operations",
    "Many with little throughput: small random I/O, as in a prepare or a logical dump.",
    unit=IO_OPS_PER_SEC,
)
NETWORK_BYTES = Graph(
    "network-bytes",
    "Network throughput",
    "Seen from the container. Empty for one that shares the host's network: then see the host.",
    unit=BYTES_SEC,
)
NETWORK_DROPS = Graph(
    "network-drops",
    "Dropped packets and errors",
    "Drops under load: a rate limit polices this container. Errors: look at the host's network.",
    unit=PACKETS_SEC,
)
PROCESS_CPU = Graph(
    "process-cpu",
    "CPU by group, cores",
    "What uses the CPU: the server, the backup tool, the compressor or the transport.",
    unit=SHORT,
    stacked=True,
)
PROCESS_MEMORY = Graph(
    "process-memory",
    "Resident memory by group",
    "Shared pages are counted in each. The group that grows is the one an OOM kill will take.",
    unit=BYTES_IEC,
)
PROCESS_IO = Graph(
    "process-io",
    "Disk I/O by group",
    "Bytes fetched from and sent to storage. No write from the compressor: the stream is stuck before it.",
    unit=BYTES_SEC,
)
PROCESS_DESCRIPTORS = Graph(
    "process-descriptors",
    "Open descriptors by group",
    "Steady growth is a leak; at the limit of the process, files and connections fail to open.",
    unit=SHORT,
)
