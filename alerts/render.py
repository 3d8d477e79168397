"""Rules as the bytes of a Prometheus rule file (Prometheus 2.42, "Recording rules" and "Alerting rules").

Pure: the same rules give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from alerts.rule import AlertRule, RecordingRule, RuleGroup, duration

HEADER = "# Made by `vdbmon alerts build`; change alerts/ and build again.\n"
_UNFOLDED = 10_000


def rule_file(groups: Iterable[RuleGroup]) -> bytes:
    """The rule file that holds these groups."""
    return to_yaml({"groups": [_group(group) for group in groups]})


def to_yaml(document: dict[str, Any]) -> bytes:
    """A document in the order in which it was put together, each text on one line so that it can be grepped."""
    return (HEADER + yaml.safe_dump(document, sort_keys=False, width=_UNFOLDED)).encode()


def _group(group: RuleGroup) -> dict[str, Any]:
    return {
        "name": group.name,
        "interval": duration(group.interval),
        "rules": [_rule(rule) for rule in group.rules],
    }


def _rule(rule: RecordingRule | AlertRule) -> dict[str, Any]:
    if isinstance(rule, RecordingRule):
        return {"record": rule.name, "expr": rule.expr}
    fields: dict[str, Any] = {"alert": rule.name, "expr": rule.expr}
    if rule.for_:
        fields["for"] = duration(rule.for_)
    if rule.keep_firing_for:
        fields["keep_firing_for"] = duration(rule.keep_firing_for)
    fields["labels"] = rule.labels
    fields["annotations"] = {"summary": rule.summary, "description": rule.description, "runbook": rule.runbook}
    return fields
