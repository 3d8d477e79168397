"""Builds selectors from catalogue metrics, so that every query is about a declared name and of the right kind.

A counter can only be had through `rate` or `increase`, a gauge only bare; the wrong one is refused at import.
"""

from __future__ import annotations

from dataclasses import dataclass

from alerts.foreign import UP
from alerts.rule import RecordingRule
from alerts.thresholds import GATE_LABEL, GATE_PLACE
from collector.metrics import Kind, Metric


@dataclass(frozen=True, slots=True)
class Scope:
    """The matchers that all queries of a dashboard carry.

    Attributes:
        target: which scraped targets: job and host.
        narrower: further matchers for all series but those of the target itself.
    """

    target: str
    narrower: str = ""

    def up(self) -> str:
        """Whether the targets answered their last scrape; the series has the target's `job` and `host`."""
        return f"{UP}{{{self.target}}}"

    def gauge(self, metric: Metric, matchers: str = "") -> str:
        """The current value of a metric that goes up and down.

        Raises:
            ValueError: the metric is a counter: its bare value says nothing.
        """
        if metric.kind is Kind.COUNTER:
            raise ValueError(f"{metric.name} is a counter: use rate or increase")
        return self._selector(metric, matchers)

    def rate(self, metric: Metric, matchers: str = "") -> str:
        """Growth of a counter per second.

        Raises:
            ValueError: the metric is no counter.
        """
        return f"rate({self._counter(metric, matchers)}[$__rate_interval])"

    def increase(self, metric: Metric, matchers: str = "") -> str:
        """Growth of a counter over the time that the dashboard shows.

        Raises:
            ValueError: the metric is no counter.
        """
        return f"increase({self._counter(metric, matchers)}[$__range])"

    def over_time(self, function: str, metric: Metric, window: str, matchers: str = "") -> str:
        """A gauge's history in one number: `avg_over_time`, `deriv` or the like over a window.

        Raises:
            ValueError: the metric is a counter.
        """
        return f"{function}({self.gauge(metric, matchers)}[{window}])"

    def trend(self, metric: Metric, window: str, ahead_seconds: float, matchers: str = "") -> str:
        """Where a gauge will be, drawn on from its course over the window.

        Raises:
            ValueError: the metric is a counter.
        """
        return f"predict_linear({self.gauge(metric, matchers)}[{window}], {ahead_seconds:.0f})"

    def _counter(self, metric: Metric, matchers: str) -> str:
        if metric.kind is not Kind.COUNTER:
            raise ValueError(f"{metric.name} is a {metric.kind}: it has no rate")
        return self._selector(metric, matchers)

    def _selector(self, metric: Metric, matchers: str) -> str:
        return f"{metric.name}{{{', '.join(part for part in (self.target, self.narrower, matchers) if part)}}}"


def how_many(condition: str) -> str:
    """Series that the condition leaves; 0 where it leaves none."""
    return f"count({condition}) or vector(0)"


def recorded(rule: RecordingRule, *matchers: str) -> str:
    """What a recording rule has stored; it has lost the labels of the scrape, such as `job`."""
    return f"{rule.name}{{{', '.join(matchers)}}}"


def closing_alerts(host_matcher: str) -> str:
    """Firing alerts that close a host or the fleet to placement; the value is when each became active.

    `ALERTS_FOR_STATE` holds that time but not the state, `ALERTS` the state but not the time. Alerts may have lost
    `job`, so they are matched by host alone.
    """
    gate = f'{GATE_LABEL}="{GATE_PLACE}", {host_matcher}'
    return f'ALERTS_FOR_STATE{{{gate}}} * ignoring(alertstate) ALERTS{{alertstate="firing", {gate}}}'


def firing_alerts(host_matcher: str) -> str:
    """Alerts that fire, of all severities but the heartbeat's."""
    return f'ALERTS{{alertstate="firing", severity!="none", {host_matcher}}}'
