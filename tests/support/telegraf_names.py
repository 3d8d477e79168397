"""Names of points as `docs/compat.md` writes them: `measurement field` and `measurement,tag`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from fnmatch import fnmatchcase

from collector.compat_telegraf import TELEGRAF
from collector.projections.point import Point

_OF_AN_OUTPUT = ("metrics_written", "metrics_dropped", "metrics_rejected", "buffer_size", "errors", "write_time_ns")
# Emitted only under conditions that a test can't bring about everywhere.
CONDITIONAL = frozenset(
    {
        *(f"mem {half}_{what}" for half in ("high", "low") for what in ("total", "free")),  # 32-bit kernels
        *("internal_agent metrics_written", "internal_agent metrics_dropped"),  # an output
        *(f"internal_write {what}" for what in _OF_AN_OUTPUT),
        "internal_write,output",
        *("docker_disk_usage size", "docker_disk_usage,volume_name", "docker_disk_usage,engine_host"),  # du
    }
)


def names_of(points: Iterable[Point]) -> Iterator[str]:
    """All names in these points."""
    for point in points:
        yield from (f"{point.measurement} {field}" for field in point.fields)
        yield from (f"{point.measurement},{tag}" for tag, _ in point.tags)


def promised() -> set[str]:
    """What the page says is emitted."""
    return {entry.name for entry in TELEGRAF.names if not entry.missing}


def denied(names: Collection[str]) -> list[str]:
    """Those that the page says are missing."""
    patterns = [entry.name for entry in TELEGRAF.names if entry.missing]
    return [name for name in names for pattern in patterns if fnmatchcase(name, pattern)]


def unlisted(names: Collection[str]) -> set[str]:
    """Names in telegraf's measurements of which the page says nothing."""
    listed = {entry.name for entry in TELEGRAF.names}
    measurements = {_measurement(name) for name in listed}
    ours = {name for name in names if _measurement(name) in measurements and not name.endswith(",host")}
    return ours - listed


def _measurement(name: str) -> str:
    return name.replace(",", " ").partition(" ")[0]
