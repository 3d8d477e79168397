"""What one push costs before it is sent: a collection of 50 containers projected to telegraf's points, and their lines.

The collection is that of the recorded machine and its container, the container's samples repeated under other names.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from collector.kernelfile import SkippedLines
from collector.metrics import Sample
from collector.projections.line_protocol import LineEncoder
from collector.projections.telegraf import TelegrafProjection
from tests.bench.exposition import best_seconds
from tests.support.source import samples_of
from tests.support.sources import SOURCES

CONTAINERS = 50
SECOND = 10**9


def collection(containers: int = CONTAINERS) -> list[Sample]:
    """Samples of the recorded host with that many containers."""
    found: list[Sample] = []
    for source in SOURCES:
        if source.name == "cgroup v2":
            continue  # the recorded container is on v1
        with tempfile.TemporaryDirectory() as name:
            source.tree(Path(name))
            opened = source.build(Path(name), SkippedLines())
            found += samples_of(opened.gather)
            opened.close()
    series = {(metric, labels): value for metric, labels, value in found}
    names = [labels[0] for metric, labels in series if metric.labels[:1] == ("name",)]
    one = max(set(names), key=names.count)
    return [
        Sample(metric, (f"backup-{number}", *labels[1:]) if metric.labels[:1] == ("name",) else labels, value)
        for number in range(containers)
        for (metric, labels), value in series.items()
        if (metric.labels[:1] == ("name",) and labels[0] == one) or (number == 0 and metric.labels[:1] != ("name",))
    ]


def run() -> dict[str, float]:
    """Milliseconds of one collection, projected and encoded as in every push but the first."""
    samples = collection()
    projection, encoder = TelegrafProjection("host-1"), LineEncoder()
    now = 1_700_000_000 * SECOND

    def push() -> list[bytes]:
        nonlocal now
        now += 10 * SECOND
        return list(encoder.encode(projection.project(samples, now)))

    lines = push()
    points = projection.project(samples, now + SECOND)
    return {
        "samples": len(samples),
        "lines": len(lines),
        "fields": sum(len(point.fields) for point in points),
        "bytes": sum(map(len, lines)),
        "project_ms": best_seconds(lambda: projection.project(samples, now)) * 1e3,
        "encode_ms": best_seconds(lambda: list(encoder.encode(points))) * 1e3,
        "both_ms": best_seconds(push) * 1e3,
    }
