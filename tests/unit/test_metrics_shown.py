"""Every declared metric is read: by a panel, a rule, or whoever the list below names."""

import re
from collections.abc import Iterator

from alerts.rules import RECORDED, RULES
from collector.catalogue import FLEET_METRICS, METRICS
from dashboards.generated import all_dashboards
from dashboards.spec import Source

DECLARED = METRICS | FLEET_METRICS

# Who reads a metric that no panel and no rule reads, by pattern of its name.
ELSEWHERE: dict[str, str] = {}


def expressions() -> Iterator[str]:
    """PromQL of panels, marks, choices, alerts and recording rules, texts of alerts too: they ask as well."""
    for dashboard in all_dashboards():
        if dashboard.source is Source.PROMETHEUS:
            yield from (query.expr for panel in dashboard.panels() for query in panel.expressions())
            yield from (mark.expr for mark in dashboard.annotations)
            yield from (variable.query for variable in dashboard.variables)
    for rule in RULES:
        yield rule.expr + rule.description
    yield from (rule.expr for rule in RECORDED)


READ = {name for text in expressions() for name in re.findall(r"[a-zA-Z_][a-zA-Z0-9_]*", text)} & DECLARED.keys()


def reasons(name: str) -> list[str]:
    return [reason for pattern, reason in ELSEWHERE.items() if re.fullmatch(pattern, name)]


def test_every_metric_is_shown_or_alerted_on_or_has_another_reader() -> None:
    assert sorted(name for name in DECLARED.keys() - READ if not reasons(name)) == []


def test_what_has_another_reader_is_not_shown_already_and_has_one_reason() -> None:
    unread = DECLARED.keys() - READ
    for pattern in ELSEWHERE:
        assert any(re.fullmatch(pattern, name) for name in unread), f"{pattern} is not needed"
    for name in unread:
        assert len(reasons(name)) == 1, name
