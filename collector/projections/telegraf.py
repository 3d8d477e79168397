"""Samples as telegraf's points: its measurements, tags, fields and units.

Which metric becomes which field is data (`collector.projections.telegraf_names`). What is computed from several
readings stands here, with telegraf's meanings, which are not those of the Prometheus names:

- `docker_container_mem usage` is without page cache (inputs.docker on cgroup v1; here on v2 as well).
- `mem cached` includes reclaimable slab, `mem used` leaves out free, buffers and cached (gopsutil).
- `disk free` is what others than root may fill; `used_percent` is of used + free.
- `cpu usage_*` and `docker_container_cpu usage_percent` need two readings: absent in the first collection.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from collector.metrics import Metric, Sample
from collector.projections.point import Point
from collector.projections.telegraf_names import Tags, label_context, rules_of

_CPU_MODES = ("user", "system", "idle", "nice", "iowait", "irq", "softirq", "steal")

Numbers = dict[str, int | float]


class _Series(NamedTuple):
    measurement: str
    tags: Tags


class _Target(NamedTuple):
    """Where the values of one (metric, labels) go."""

    series: _Series
    field: str
    scale: int
    whole: bool


@dataclass(frozen=True, slots=True)
class _Moment:
    """What the computed fields need besides their own point."""

    timestamp_ns: int
    machine_memory: float | None


class TelegrafProjection:
    """Projects collections of one host; remembers the last one for what needs two readings.

    Args:
        host: value of the tag `host`.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._targets: dict[tuple[Metric, tuple[str, ...]], tuple[_Target, ...]] = {}
        self._before: dict[_Series, Numbers] = {}
        self._before_ns = 0

    def project(self, samples: Iterable[Sample], timestamp_ns: int) -> list[Point]:
        """The points of one collection that was taken at `timestamp_ns` (Unix time)."""
        groups = self._group(samples)
        _add_cpu_total(groups, self._host)
        total = groups.get(_Series("mem", (("host", self._host),)), {}).get("total")
        moment = _Moment(timestamp_ns, total)
        kept: dict[_Series, Numbers] = {}
        for series, numbers in groups.items():
            compute = _COMPUTED.get(series.measurement)
            if compute is not None:
                compute(numbers, moment)
            compare = _COMPARED.get(series.measurement)
            if compare is not None:
                kept[series] = dict(numbers)
                before = self._before.get(series)
                if before is not None:
                    compare(numbers, before, timestamp_ns - self._before_ns)
        self._before, self._before_ns = kept, timestamp_ns
        return [Point(*series, numbers, timestamp_ns) for series, numbers in groups.items() if numbers]

    def _group(self, samples: Iterable[Sample]) -> dict[_Series, Numbers]:
        """The fields of every series. Targets are kept for the series of this collection and no other."""
        groups: dict[_Series, Numbers] = {}
        used: dict[tuple[Metric, tuple[str, ...]], tuple[_Target, ...]] = {}
        for metric, labels, value in samples:
            key = (metric, labels)
            targets = self._targets.get(key)
            if targets is None:
                targets = tuple(_targets(metric, labels, self._host))
            used[key] = targets
            for series, field, scale, whole in targets:
                numbers = groups.get(series)
                if numbers is None:
                    numbers = groups[series] = {}
                if not whole:
                    numbers[field] = float(value * scale)
                elif math.isfinite(value):
                    numbers[field] = round(value * scale)
        self._targets = used
        return groups


def _targets(metric: Metric, labels: tuple[str, ...], host: str) -> Iterator[_Target]:
    context = label_context(metric, labels)
    for rule in rules_of(metric):
        filled = [(name, template.format_map(context)) for name, template in rule.tags]
        tags = tuple(sorted((name, value) for name, value in (*filled, ("host", host)) if value))
        yield _Target(_Series(rule.measurement, tags), rule.field.format_map(context), rule.scale, rule.whole)


def _add_cpu_total(groups: dict[_Series, Numbers], host: str) -> None:
    """Add `cpu-total`: the sum of all CPUs."""
    total: Numbers = {}
    for series, numbers in groups.items():
        if series.measurement == "cpu":
            for field, value in numbers.items():
                total[field] = total.get(field, 0.0) + value
    if total:
        groups[_Series("cpu", (("cpu", "cpu-total"), ("host", host)))] = total


def _memory(numbers: Numbers, _moment: _Moment) -> None:
    """`used` and the percentages of the host's memory."""
    page_cache = numbers.pop("_page_cache", None)
    if page_cache is not None:
        numbers["cached"] = page_cache + numbers.get("sreclaimable", 0)
    total = numbers.get("total")
    if not total:
        return
    if {"free", "buffered", "cached"} <= numbers.keys():
        numbers["used"] = total - numbers["free"] - numbers["buffered"] - numbers["cached"]
        numbers["used_percent"] = 100 * numbers["used"] / total
    if "available" in numbers:
        numbers["available_percent"] = 100 * numbers["available"] / total


def _swap(numbers: Numbers, _moment: _Moment) -> None:
    if {"total", "free"} <= numbers.keys():
        numbers["used"] = numbers["total"] - numbers["free"]
        numbers["used_percent"] = 100 * numbers["used"] / numbers["total"] if numbers["total"] else 0.0


def _system(numbers: Numbers, moment: _Moment) -> None:
    boot_time = numbers.pop("_boot_time", None)
    if boot_time is not None:
        numbers["uptime"] = int(moment.timestamp_ns / 1e9 - boot_time)


def _filesystem(numbers: Numbers, _moment: _Moment) -> None:
    free = numbers.pop("_free_with_reserve", None)
    if free is not None and "total" in numbers:
        numbers["used"] = numbers["total"] - free
        reachable = numbers["used"] + numbers.get("free", 0)
        numbers["used_percent"] = 100 * numbers["used"] / reachable if reachable else 0.0
    if {"inodes_total", "inodes_free"} <= numbers.keys():
        numbers["inodes_used"] = numbers["inodes_total"] - numbers["inodes_free"]


def _container_memory(numbers: Numbers, moment: _Moment) -> None:
    """`usage` without page cache; a container without a limit has the machine's memory, as Docker says it."""
    usage = numbers.pop("_usage", None)
    if "limit" not in numbers and moment.machine_memory is not None:
        numbers["limit"] = moment.machine_memory
    if usage is None:
        return
    cache = numbers.get("cache", 0)
    numbers["usage"] = usage - cache if cache < usage else usage
    if numbers.get("limit"):
        numbers["usage_percent"] = 100 * numbers["usage"] / numbers["limit"]


def _container_status(numbers: Numbers, moment: _Moment) -> None:
    if "started_at" in numbers:
        numbers["uptime_ns"] = moment.timestamp_ns - int(numbers["started_at"])


def _cpu_usage(numbers: Numbers, before: Numbers, _elapsed_ns: int) -> None:
    """Per cent of the time between the readings, by mode; counters that ran backwards count as standing still."""
    spent = {mode: max(numbers.get(f"time_{mode}", 0) - before.get(f"time_{mode}", 0), 0) for mode in _CPU_MODES}
    total = sum(spent.values())
    if total <= 0:
        return
    for mode, seconds in spent.items():
        numbers[f"usage_{mode}"] = 100 * seconds / total
    numbers["usage_active"] = 100 * (total - spent["idle"]) / total


def _container_cpu_usage(numbers: Numbers, before: Numbers, elapsed_ns: int) -> None:
    """Per cent of one core between the readings. A counter that fell belongs to a new container: no figure yet."""
    if elapsed_ns <= 0 or "usage_total" not in numbers.keys() & before.keys():
        return
    spent_ns = numbers["usage_total"] - before["usage_total"]
    if spent_ns >= 0:
        numbers["usage_percent"] = 100 * spent_ns / elapsed_ns


_COMPUTED: dict[str, Callable[[Numbers, _Moment], None]] = {
    "mem": _memory,
    "swap": _swap,
    "system": _system,
    "disk": _filesystem,
    "docker_container_mem": _container_memory,
    "docker_container_status": _container_status,
}
_COMPARED: dict[str, Callable[[Numbers, Numbers, int], None]] = {
    "cpu": _cpu_usage,
    "docker_container_cpu": _container_cpu_usage,
}
