"""One line for each combination of some labels, named by them: what graphs of devices, ports and processes are."""

from __future__ import annotations

from dataclasses import dataclass

from collector.metrics import Metric
from dashboards.prometheus.promql import Scope
from dashboards.spec import Query


@dataclass(frozen=True, slots=True)
class PerLabel:
    """The lines of a scope.

    Attributes:
        by: labels that tell lines apart. All other labels are of the scrape, so of several series the largest does.
        named: labels in the legend; all of `by` if not given.
        matchers: which series there are lines of.
    """

    scope: Scope
    by: tuple[str, ...]
    named: tuple[str, ...] = ()
    matchers: str = ""

    def expr(self, inner: str) -> str:
        """One value for each line."""
        return f"max by ({', '.join(self.by)}) ({inner})"

    def line(self, inner: str, word: str = "", *, is_limit: bool = False) -> Query:
        """The lines of any expression, with a word behind their names."""
        names = (f"{{{{{label}}}}}" for label in self.named or self.by)
        return Query(self.expr(inner), " ".join((*names, word)).rstrip(), is_limit)

    def gauge(self, metric: Metric, word: str = "") -> Query:
        """A metric that goes up and down.

        Raises:
            ValueError: the metric is a counter.
        """
        return self.line(self.scope.gauge(metric, self.matchers), word)

    def rate(self, metric: Metric, word: str = "") -> Query:
        """Growth of a counter per second.

        Raises:
            ValueError: the metric is no counter.
        """
        return self.line(self.scope.rate(metric, self.matchers), word)

    def limit(self, metric: Metric, word: str = "limit") -> Query:
        """A limit, dashed; 0 is none.

        Raises:
            ValueError: the metric is a counter.
        """
        return self.line(f"{self.scope.gauge(metric, self.matchers)} > 0", word, is_limit=True)

    def of_limit(self, counter: Metric, limit: Metric, word: str = "") -> Query:
        """Growth of a counter to its limit.

        Raises:
            ValueError: no counter, or the limit is one.
        """
        rate, most = self.scope.rate(counter, self.matchers), self.scope.gauge(limit, self.matchers)
        return self.line(f"{rate} / ({most} > 0)", word)
