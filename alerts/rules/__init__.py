"""All alert rules, one file per subject; a new subject is one file here and one line in `SUBJECTS`.

Gates and the heartbeat share one fast group: while Watchdog is fresh, the gates are evaluated too. Rates in it look
back one minute, which holds four scrapes at intervals up to 15 s.
"""

from __future__ import annotations

from alerts.rule import AlertRule, RuleGroup
from alerts.rules import agent, container, docker, host, meta
from alerts.thresholds import GATE_GROUP

_GATE_INTERVAL = 5
_INTERVAL = 30

SUBJECTS: dict[str, tuple[AlertRule, ...]] = {
    "host": host.RULES,
    "container": container.RULES,
    "docker": docker.RULES,
    "agent": agent.RULES,
    "meta": meta.RULES,
}

RULES: tuple[AlertRule, ...] = tuple(rule for rules in SUBJECTS.values() for rule in rules)


def rule_groups() -> tuple[RuleGroup, ...]:
    """The gate group, then one group per subject with the rest of its rules."""
    fast = (meta.WATCHDOG, *(rule for rule in RULES if rule.closes))
    slow = {subject: tuple(rule for rule in rules if rule not in fast) for subject, rules in SUBJECTS.items()}
    return (
        RuleGroup(GATE_GROUP, _GATE_INTERVAL, fast),
        *(RuleGroup(f"vdbmon-{subject}", _INTERVAL, rules) for subject, rules in slow.items() if rules),
    )
