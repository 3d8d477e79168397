"""What a scrape of 5,000 samples costs: our renderer beside prometheus_client's, on the same samples."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from collector import catalogue
from collector.metrics import Kind, Sample
from collector.projections.prometheus import Exposition

SAMPLES = 5000
ROUNDS = 15


def samples_of_a_busy_host(count: int = SAMPLES) -> list[Sample]:
    """The container metrics of as many containers as give `count` samples, values that need all their digits."""
    metrics = [metric for metric in catalogue.METRICS.values() if metric.labels[:2] == ("name", "image")]
    found: list[Sample] = []
    number = 0
    while len(found) < count:
        name, image = f"backup-{number}", "registry.example/backup:10.11"
        found += [
            metric.sample(1.1 * number + 1e6 / 3, name, image, *("x" for _ in metric.labels[2:])) for metric in metrics
        ]
        number += 1
    return found[:count]


@dataclass(frozen=True, slots=True, eq=False)
class SampleCollector(Collector):
    """The samples as prometheus_client wants them."""

    samples: list[Sample]
    host: str

    def collect(self) -> Iterator[Metric]:
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for metric, labels, value in self.samples:
            family = families.get(metric.name)
            if family is None:
                make = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
                family = families[metric.name] = make(metric.name, metric.help, labels=[*metric.labels, "host"])
            family.add_metric([*labels, self.host], value)
        yield from families.values()


def best_seconds(call: Callable[[], object]) -> float:
    """The shortest of some runs: the one that the other users of the machine disturbed least."""
    found = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return min(found)


def run() -> dict[str, float]:
    """Milliseconds of one scrape of both renderers, the first of ours (nothing kept yet), and the ratio."""
    samples = samples_of_a_busy_host()
    exposition = Exposition("host-1")
    registry = CollectorRegistry()
    registry.register(SampleCollector(samples, "host-1"))
    ours = best_seconds(lambda: exposition.render(samples))
    cold = best_seconds(lambda: Exposition("host-1").render(samples))
    theirs = best_seconds(lambda: generate_latest(registry))
    return {
        "samples": len(samples),
        "ours_ms": ours * 1e3,
        "ours_first_scrape_ms": cold * 1e3,
        "prometheus_client_ms": theirs * 1e3,
        "ratio": theirs / ours,
    }
