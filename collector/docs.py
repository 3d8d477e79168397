"""`docs/metrics.md`, generated from the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from collector.metrics import Metric
from collector.projections.telegraf_names import rules_of

_INTRODUCTION = """# Metrics

Generated from the declarations of the inputs; don't edit. Every series carries `host` besides the labels shown. The
last column says where a value goes in InfluxDB: measurement and field in telegraf's names and units, words in braces
filled from the labels. Measurement `prometheus` holds what telegraf has no name for; fields that begin with `_` are
only read to compute others.

| name | kind | unit | labels | meaning | in InfluxDB |
|---|---|---|---|---|---|
"""


def metrics_page(metrics: Mapping[str, Metric]) -> str:
    """All metrics as one Markdown table, in the order of the catalogue."""
    return _INTRODUCTION + "".join(_row(metric) for metric in metrics.values())


def _row(metric: Metric) -> str:
    influx = _codes(f"{rule.measurement} {rule.field}" for rule in rules_of(metric))
    cells = (f"`{metric.name}`", metric.kind, metric.unit, _codes(metric.labels), metric.help, influx)
    return "| " + " | ".join(cells) + " |\n"


def _codes(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)
