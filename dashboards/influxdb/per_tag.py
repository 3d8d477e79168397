"""One line for each combination of some tags, named by them; the counterpart of `dashboards.prometheus.per_label`."""

from __future__ import annotations

from dataclasses import dataclass

from collector.metrics import Metric
from dashboards.influxdb.influxql import Scope, Stored, stored
from dashboards.spec import Query


@dataclass(frozen=True, slots=True)
class PerTag:
    """The lines of a scope.

    Attributes:
        by: tags that tell lines apart.
        named: tags in the legend; all of `by` if not given.
        where: a condition for all lines.
    """

    scope: Scope
    by: tuple[str, ...]
    named: tuple[str, ...] = ()
    where: str = ""

    def gauge(self, value: Stored, word: str = "", *, function: str = "mean", divide: float = 0) -> Query:
        """A value that goes up and down.

        Raises:
            ValueError: it is a counter, or has no such tag.
        """
        expr = self.scope.gauge(value, *self.by, where=self.where, function=function, divide=divide)
        return Query(expr, self._legend(word))

    def rate(self, value: Metric | Stored, word: str = "") -> Query:
        """Growth of a counter per second.

        Raises:
            ValueError: it is no counter, or has no such tag.
        """
        found = stored(value) if isinstance(value, Metric) else value
        return Query(self.scope.rate(found, *self.by, where=self.where), self._legend(word))

    def _legend(self, word: str) -> str:
        names = (f"$tag_{tag}" for tag in self.named or self.by)
        return " ".join((*names, word)).rstrip()
