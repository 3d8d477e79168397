"""A page as `vdbmon serve` has it: every metric that it declares, of one fleet of two hosts, one of them closed."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator, Mapping

from collector import fleet_metrics, schedule_metrics
from collector.catalogue import FLEET_METRICS
from collector.metrics import Kind, Metric, Unit
from tests.support.web import serving_metrics

LABELS: Mapping[str, tuple[str, ...]] = {
    "host": ("dr-host-01", "dr-host-02"),
    "class": (
        *("slots", "cpu", "memory", "disk", "read_bps", "write_bps"),
        *("read_iops", "write_iops", "network_in", "network_out"),
    ),
    "code": ("engine.unreachable", "capacity.memory"),
    "state": ("intent", "live"),
    "kind": ("container", "address"),
    "outcome": ("accepted", "refused"),
    "action": ("finished", "undone"),
    "task": ("reconcile", "schedules"),
    "source": ("orders",),
    "backup_job": ("backup",),
}
_SHARES = {
    fleet_metrics.INVENTORY: 100.0,
    fleet_metrics.RESERVED: 10.0,
    fleet_metrics.SELLABLE: 90.0,
    fleet_metrics.ALLOCATED: 54.0,
    fleet_metrics.OTHERS: 9.0,
    fleet_metrics.USED: 31.0,
    fleet_metrics.FREE: 27.0,
    schedule_metrics.MAX_AGE: 86400.0,
}


def _value(metric: Metric, seconds: float) -> float:
    if metric.kind is Kind.COUNTER:
        return 10 + 0.2 * seconds
    if metric is fleet_metrics.FULL_AT:
        return time.time() + 40 * 86400
    if metric.unit is Unit.TIMESTAMP:
        return time.time() - 20
    return _SHARES.get(metric, 1.0)


def exposition(seconds: float) -> str:
    """All of them, after it has run for so long."""
    lines = []
    for metric in FLEET_METRICS.values():
        for values in itertools.product(*(LABELS.get(label, (label,)) for label in metric.labels)):
            labels = ",".join(f'{name}="{value}"' for name, value in zip(metric.labels, values, strict=True))
            lines.append(f"{metric.name}{{{labels}}} {_value(metric, seconds)}")
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def serve_page() -> Iterator[int]:
    """A server of the page on loopback; its port."""
    with serving_metrics(exposition) as port:
        yield port
