"""`docs/metrics.md`, generated from the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from collector.metrics import Metric, Stability
from collector.projections.telegraf_names import rules_of

_INTRODUCTION = """# Metrics

## Of the agent

Generated from the declarations of the inputs; don't edit. Every series carries `host` besides the labels shown. The
last column says where a value goes in InfluxDB: measurement and field in telegraf's names and units, words in braces
filled from the labels. Measurement `prometheus` holds what telegraf has no name for; fields that begin with `_` are
only read to compute others. A name, its unit and its labels stay as they are until the next major version, unless the
kind says `alpha`; what commands of the exec input print is all alpha, and not listed.

| name | kind | unit | labels | meaning | in InfluxDB |
|---|---|---|---|---|---|
"""


_FLEET = """
## Of `vdbmon serve`

Job `vdbmon-serve`, scraped with `honor_labels: true`. `host` is the host that a figure is about; what is about the
whole fleet has none. `class` is a resource class in its base unit: slots, cores, bytes, bytes or operations per second.
Of several serves only the one with the lease has `vdbmon_capacity_*`, `vdbmon_placement_*` and (but for
`vdbmon_ledger_up`) `vdbmon_ledger_*`; its counters begin when it gets the lease.

| name | kind | unit | labels | meaning |
|---|---|---|---|---|
"""


def metrics_page(metrics: Mapping[str, Metric], fleet: Mapping[str, Metric]) -> str:
    """All metrics as two Markdown tables, in the order of the catalogue: the agent's and serve's."""
    rows = ("| " + " | ".join(_cells(metric)) + " |\n" for metric in fleet.values())
    return _INTRODUCTION + "".join(_row(metric) for metric in metrics.values()) + _FLEET + "".join(rows)


def _row(metric: Metric) -> str:
    influx = _codes(dict.fromkeys(f"{rule.measurement} {rule.field}" for rule in rules_of(metric)))
    return "| " + " | ".join((*_cells(metric), influx)) + " |\n"


def _cells(metric: Metric) -> tuple[str, ...]:
    kind = str(metric.kind) if metric.stability is Stability.STABLE else f"{metric.kind}, {metric.stability}"
    return f"`{metric.name}`", kind, metric.unit, _codes(metric.labels), metric.help


def _codes(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)
