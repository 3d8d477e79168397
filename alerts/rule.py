"""What rules are, and the few words from which expressions and texts are put together.

Source: Prometheus' "Alerting rules" and "Template reference". Durations are whole seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from alerts.thresholds import GATE_FOR, GATE_LABEL, GATE_PLACE, SCOPE_FLEET, SCOPE_LABEL, Threshold
from collector.metrics import Metric

RUNBOOK_DIR = "alerts/runbooks"
_EARLIER = ("5m", "15m", "30m", "1h", "2h", "6h", "1d", "7d")
_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))

PERCENT = "{{ $value | humanizePercentage }}"
DURATION = "{{ $value | humanizeDuration }}"


class Severity(StrEnum):
    """How soon a person must look: at once, today, when something else fires; `none` is the heartbeat."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"
    NONE = "none"


class Closes(StrEnum):
    """What a gate alert closes for `vdbmon place`: the host in its `host` label, or all hosts."""

    HOST = "host"
    FLEET = "fleet"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """One alerting rule.

    Attributes:
        expr: PromQL; its result keeps only the labels that tell alerts of this name apart.
        for_: how long the condition must hold, seconds; 0 fires at once.
        keep_firing_for: how long the alert outlives its condition, seconds.
        closes: set on gate alerts only.
        limits: what its expression compares with, for the table of all alerts.
        summary: one line, the only text that shows the value.
        description: what it means for the backups and what to do first.
    """

    name: str
    expr: str
    severity: Severity
    summary: str
    description: str
    for_: int = 0
    keep_firing_for: int = 0
    closes: Closes | None = None
    limits: tuple[Threshold, ...] = ()

    def __post_init__(self) -> None:
        if self.closes and (self.for_ > GATE_FOR or not self.keep_firing_for):
            raise ValueError(f"{self.name}: a gate closes within {GATE_FOR} s and keeps firing against flapping")

    @property
    def runbook(self) -> str:
        """Path of the runbook in the repository."""
        return f"{RUNBOOK_DIR}/{self.name}.md"

    @property
    def labels(self) -> dict[str, str]:
        """Labels put on the alert besides those of its expression."""
        labels = {"severity": self.severity.value}
        if self.closes:
            labels[GATE_LABEL] = GATE_PLACE
        if self.closes is Closes.FLEET:
            labels[SCOPE_LABEL] = SCOPE_FLEET
        return labels


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """An expression whose result is stored under `name`, which is `level:metric:operations`."""

    name: str
    expr: str


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """Rules that Prometheus evaluates one after the other, every `interval` seconds."""

    name: str
    interval: int
    rules: tuple[RecordingRule | AlertRule, ...]


def selector(metric: Metric | str, *matchers: str) -> str:
    """An instant vector selector; `metric` is declared in the catalogue or named in `alerts.foreign`."""
    name = metric.name if isinstance(metric, Metric) else metric
    return f"{name}{{{','.join(matchers)}}}" if matchers else name


def lowest(metric: Metric | str, window: str, *matchers: str) -> str:
    """The least value of the window: what is above a limit has been so all the time, also if a scrape failed."""
    return f"min_over_time({selector(metric, *matchers)}[{window}])"


def highest(metric: Metric | str, window: str, *matchers: str) -> str:
    """The greatest value of the window: what is below a limit has been so all the time, also if a scrape failed."""
    return f"max_over_time({selector(metric, *matchers)}[{window}])"


def last(metric: Metric | str, window: str, *matchers: str) -> str:
    """The newest value of the window: a state outlives a failed scrape."""
    return f"last_over_time({selector(metric, *matchers)}[{window}])"


def was(metric: Metric | str, value: int, *matchers: str) -> str:
    """Series that had this value some time in the last week; a range over the whole of it would cost far more."""
    return " or ".join(f"{selector(metric, *matchers)} offset {offset} == {value}" for offset in _EARLIER)


def rate(metric: Metric | str, window: str, *matchers: str) -> str:
    """Growth per second over the window."""
    return f"rate({selector(metric, *matchers)}[{window}])"


def increase(metric: Metric | str, window: str, *matchers: str) -> str:
    """Growth over the window."""
    return f"increase({selector(metric, *matchers)}[{window}])"


def label(name: str) -> str:
    """The template that shows a label of the alert."""
    return f"{{{{ $labels.{name} }}}}"


def duration(seconds: int) -> str:
    """A duration in Prometheus' notation, in the largest unit that divides it: `15s`, `5m`, `6h`."""
    unit, size = next((unit, size) for unit, size in _UNITS if seconds % size == 0)
    return f"{seconds // size}{unit}"


HOST = label("host")
