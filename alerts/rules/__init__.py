"""All rules, one file per subject; a new subject is one file here and one line in `SUBJECTS`.

Gates and the heartbeat share one fast group: while Watchdog is fresh, the gates are evaluated too. Rates in it look
back one minute, which holds four scrapes at intervals up to 15 s. What a subject's alerts need computed stands before
them in their group, so they read what this very evaluation has stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from alerts import recording
from alerts.rule import AlertRule, RecordingRule, RuleGroup
from alerts.rules import agent, backup, container, docker, host, meta, network, scheduler, storage
from alerts.thresholds import GATE_GROUP

_GATE_INTERVAL = 5
# A page is to go out within a minute of its cause: scrape, evaluation and Alertmanager's group_wait add up.
_INTERVAL = 15
# What waits for so long loses nothing by being looked at once a minute; most of it looks back for hours.
_SLOW_FOR = 30 * 60
_SLOW_INTERVAL = 60
_HISTORY_INTERVAL = 5 * 60


@dataclass(frozen=True, slots=True)
class Subject:
    """The rules of one file, and what is computed for them and for panels."""

    alerts: tuple[AlertRule, ...]
    recorded: tuple[RecordingRule, ...] = ()


SUBJECTS: dict[str, Subject] = {
    "host": Subject(host.RULES, recording.HOST_RULES),
    "storage": Subject(storage.RULES, recording.STORAGE_RULES),
    "network": Subject(network.RULES, recording.NETWORK_RULES),
    "container": Subject(container.RULES, recording.CONTAINER_RULES),
    "docker": Subject(docker.RULES),
    "backup": Subject(backup.RULES, recording.BACKUP_RULES),
    "scheduler": Subject(scheduler.RULES),
    "agent": Subject(agent.RULES),
    "meta": Subject(meta.RULES),
}

RULES: tuple[AlertRule, ...] = tuple(rule for subject in SUBJECTS.values() for rule in subject.alerts)
RECORDED: tuple[RecordingRule, ...] = (
    *(rule for subject in SUBJECTS.values() for rule in subject.recorded),
    *recording.HISTORY_RULES,
)


def rule_groups() -> tuple[RuleGroup, ...]:
    """The gate group; per subject what is recorded, its alerts, and those that wait long; what looks back a week."""
    return (
        RuleGroup(GATE_GROUP, _GATE_INTERVAL, (meta.WATCHDOG, *(rule for rule in RULES if rule.closes))),
        *(group for name, subject in SUBJECTS.items() for group in _groups(name, subject)),
        RuleGroup("vdbmon-history", _HISTORY_INTERVAL, recording.HISTORY_RULES),
    )


def _groups(name: str, subject: Subject) -> Iterator[RuleGroup]:
    alerts = [rule for rule in subject.alerts if not rule.closes and rule is not meta.WATCHDOG]
    quick = tuple(rule for rule in alerts if rule.for_ < _SLOW_FOR)
    slow = tuple(rule for rule in alerts if rule.for_ >= _SLOW_FOR)
    yield RuleGroup(f"vdbmon-{name}", _INTERVAL, (*subject.recorded, *quick))
    if slow:
        yield RuleGroup(f"vdbmon-{name}-slow", _SLOW_INTERVAL, slow)
