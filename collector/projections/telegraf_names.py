"""What telegraf calls the metrics of the catalogue; a name is used only where the meaning is telegraf's too.

The other metrics go where telegraf's own inputs.prometheus (metric_version = 2) would put them: measurement
`prometheus`, field = name, tags = labels. Nothing is lost.

Field names that begin with `_` never leave the projection: they are readings that `telegraf_computed` makes others of.
"""

from __future__ import annotations

from collector.foreign import ForeignMetric
from collector.metrics import Metric
from collector.projections.telegraf_containers import CONTAINER_RULES
from collector.projections.telegraf_host import HOST_RULES
from collector.projections.telegraf_rule import Form, Rule, label_context

__all__ = ["RULES", "label_context", "rules_of"]

RULES: dict[Metric, tuple[Rule, ...]] = CONTAINER_RULES | HOST_RULES


def rules_of(metric: Metric) -> tuple[Rule, ...]:
    """Where this metric goes.

    What a command printed as line protocol goes back to the measurement and field that it came as.
    """
    known = RULES.get(metric)
    if known is not None:
        return known
    tags = tuple((name, f"{{{name}}}") for name in metric.labels)
    if isinstance(metric, ForeignMetric) and metric.measurement:
        form = Form.WHOLE if metric.whole else Form.REAL
        return (Rule(metric.measurement, _literal(metric.field), tags, form=form),)
    return (Rule("prometheus", metric.name, tags, form=Form.REAL),)


def _literal(text: str) -> str:
    """A template that gives the text itself."""
    return text.replace("{", "{{").replace("}", "}}")
