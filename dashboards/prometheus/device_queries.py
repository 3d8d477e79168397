"""What disks and links of hosts do: the questions that the dashboards of a host, of storage and of the network share.

Each takes the lines to draw: `disks` or `links` of a scope, told apart by device or by host and device.
"""

from __future__ import annotations

from collector import catalogue
from collector.metrics import Metric
from dashboards.prometheus.per_label import PerLabel
from dashboards.prometheus.promql import Scope
from dashboards.spec import Query

_host = catalogue.host
NOT_LOOPBACK = 'device!="lo"'

Pair = tuple[Query, Query]


def disks(scope: Scope, *by: str) -> PerLabel:
    """Block devices."""
    return PerLabel(scope, by)


def disk_busy(each: PerLabel) -> Query:
    """Share of time with I/O in flight."""
    return each.rate(_host.DISK_IO_TIME)


def disk_queue(each: PerLabel) -> Query:
    """Requests in flight on average."""
    return each.rate(_host.DISK_IO_TIME_WEIGHTED)


def disk_bytes(each: PerLabel) -> Pair:
    """Bytes per second."""
    return each.rate(_host.DISK_READ_BYTES, "read"), each.rate(_host.DISK_WRITTEN_BYTES, "written")


def disk_operations(each: PerLabel) -> Pair:
    """Operations per second."""
    return each.rate(_host.DISK_READS, "reads"), each.rate(_host.DISK_WRITES, "writes")


def disk_latency(each: PerLabel) -> Pair:
    """Mean seconds of an operation."""

    def mean(seconds: Metric, count: Metric) -> str:
        return f"{each.scope.rate(seconds)} / ({each.scope.rate(count)} > 0)"

    return (
        each.line(mean(_host.DISK_READ_TIME, _host.DISK_READS), "read"),
        each.line(mean(_host.DISK_WRITE_TIME, _host.DISK_WRITES), "write"),
    )


def links(scope: Scope, *by: str) -> PerLabel:
    """Network interfaces but loopback."""
    return PerLabel(scope, by, matchers=NOT_LOOPBACK)


def link_bytes(each: PerLabel) -> Pair:
    """Bytes per second."""
    return each.rate(_host.NET_RECEIVE_BYTES, "received"), each.rate(_host.NET_TRANSMIT_BYTES, "sent")


def link_drops(each: PerLabel) -> Pair:
    """Dropped packets per second."""
    return each.rate(_host.NET_RECEIVE_DROP, "received"), each.rate(_host.NET_TRANSMIT_DROP, "sent")


def link_errors(each: PerLabel) -> Pair:
    """Bad packets per second."""
    return each.rate(_host.NET_RECEIVE_ERRS, "received"), each.rate(_host.NET_TRANSMIT_ERRS, "sent")


def link_use(each: PerLabel) -> Pair:
    """Share of the link's speed; virtual interfaces have none and are left out."""
    speed = each.expr(f"{each.scope.gauge(_host.NET_SPEED)} > 0")
    received, sent = link_bytes(each)
    return Query(f"{received.expr} / {speed}", received.legend), Query(f"{sent.expr} / {speed}", sent.legend)
