"""Filters of an input: which of its samples there are at all, in `/metrics` and in the outputs.

An input's samples have two names, so a filter of it takes either: a metric is named by its Prometheus name and by the
measurements that it goes to; its tags are its labels and telegraf's tags; its fields are telegraf's and its Prometheus
name. What telegraf's projection computes of several samples has no sample of its own: that is for outputs to filter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from collector.filters import SelectorSettings, compile_selector
from collector.metrics import Metric, Sample
from collector.projections.point import Tags
from collector.projections.telegraf_names import label_context, rules_of

SampleFilter = Callable[[Iterable[Sample]], list[Sample]]


def compile_sample_filter(settings: SelectorSettings) -> SampleFilter | None:
    """The filter of one input; None where the settings filter nothing. It is to be called by one thread at a time."""
    passes = compile_selector(settings)
    if passes is None:
        return None
    by_tags = bool(settings.tagpass or settings.tagdrop)
    by_fields = bool(settings.fieldinclude or settings.fieldexclude)
    return _SampleFilter(passes, by_tags=by_tags, by_fields=by_fields)


class _SampleFilter:
    """Decides once per metric where its labels don't matter, else once per series of the last gathering."""

    def __init__(
        self, passes: Callable[[Iterable[str], Tags, Iterable[str]], bool], *, by_tags: bool, by_fields: bool
    ) -> None:
        self._passes = passes
        self._by_tags = by_tags
        self._by_fields = by_fields
        self._metrics: dict[Metric, bool | None] = {}
        self._series: dict[tuple[Metric, tuple[str, ...]], bool] = {}

    def __call__(self, samples: Iterable[Sample]) -> list[Sample]:
        metrics, used = self._metrics, {}
        kept = []
        for sample in samples:
            metric, labels, _ = sample
            if metric not in metrics:
                metrics[metric] = None if self._labels_matter(metric) else self._decide(metric, labels)
            passes = metrics[metric]
            if passes is None:
                passes = self._series.get((metric, labels))
                if passes is None:
                    passes = self._decide(metric, labels)
                used[metric, labels] = passes
            if passes:
                kept.append(sample)
        self._series = used
        return kept

    def _labels_matter(self, metric: Metric) -> bool:
        return self._by_tags or (self._by_fields and any("{" in rule.field for rule in rules_of(metric)))

    def _decide(self, metric: Metric, labels: tuple[str, ...]) -> bool:
        context = label_context(metric, labels)
        rules = rules_of(metric)
        labelled = zip(metric.labels, labels, strict=True)
        tagged = ((name, template.format_map(context)) for rule in rules for name, template in rule.tags)
        # A label that is empty is absent, in Prometheus as in telegraf.
        present = tuple((name, value) for name, value in (*labelled, *tagged) if value)
        # Those that begin with _ are readings that telegraf's field is computed of.
        fields = [rule.field.format_map(context).removeprefix("_") for rule in rules]
        return self._passes((metric.name, *(rule.measurement for rule in rules)), present, (metric.name, *fields))
