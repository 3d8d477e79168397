"""Tables of decisions and launches, for terminals of 80 columns and for pipes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from collector.quantities import format_bytes
from orchestrator.backup.progress import Progress
from orchestrator.decision.decide import Decision, Verdict
from orchestrator.decision.reasons import Reason
from orchestrator.decision.resources import ResourceClass
from orchestrator.ledger import LaunchState
from orchestrator.placement.outcomes import LaunchStatus

_NO_PROGRESS: Mapping[str, Progress] = MappingProxyType({})
_EVERY_HOST = "every host"
_HOSTS_WIDTH = 32
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def decision_table(decision: Decision) -> RenderableType:
    """What was decided, and all reasons of every host; hosts with the same ones share a row."""
    common = _common_reasons(decision.verdicts)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("host", overflow="fold", max_width=_HOSTS_WIDTH)
    table.add_column("verdict", no_wrap=True)
    table.add_column("reasons", overflow="fold")
    if common:
        table.add_row(_EVERY_HOST, "refused", _reasons(common))
    alike: dict[tuple[str, tuple[Reason, ...]], list[str]] = {}
    for verdict in decision.verdicts:
        own = tuple(reason for reason in verdict.reasons if reason not in common)
        alike.setdefault((_verdict(verdict, decision), own), []).append(verdict.host)
    for (shown, own), names in alike.items():
        table.add_row(escape(", ".join(names)), shown, _reasons(own) if own or not common else Text("as every host"))
    head = f"{decision.name}: {'accepted' if decision.accepted else 'refused'}: {decision.why}"
    if decision.start_at is not None:
        head += f"; start at {start_text(decision.start_at)}"
    return Group(Text(head), table)


def launch_table(
    statuses: Sequence[LaunchStatus], *, now: float, progress: Mapping[str, Progress] = _NO_PROGRESS
) -> Table:
    """What was placed, where, and how it is."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("name", overflow="fold")
    table.add_column("source", overflow="fold")
    table.add_column("job")
    table.add_column("host", overflow="fold")
    table.add_column("state", overflow="fold")
    table.add_column("age", no_wrap=True)
    table.add_column("holds", overflow="fold")
    table.add_column("backup", overflow="fold")
    for status in statuses:
        record = status.record
        table.add_row(
            *map(escape, (record.name, record.source, record.job, record.host, state_text(status))),
            age_text(now - record.created_at),
            _holds(status),
            _backup(status, progress.get(record.name)),
        )
    return table


def state_text(status: LaunchStatus) -> str:
    """The state in words: `unknown` where the engine doesn't answer, `kept` for a backup whose container is removed."""
    record = status.record
    if not status.known:
        return "unknown"
    match record.state:
        case LaunchState.INTENT | LaunchState.CREATED:
            return f"half done at {record.step or record.state}: vdbmon reconcile"
        case LaunchState.FAILED:
            return f"failed: {(record.outcome or {}).get('message') or 'no reason known'}"
        case LaunchState.REMOVED:
            return "kept"
        case _:
            return record.state.value


def progress_text(progress: Progress) -> str:
    """`1.2 GiB of 3 GiB, 45 MiB/s, 40s left`; of what follows its source `3s behind`."""
    parts = []
    if progress.done is not None:
        expected = "" if progress.expected is None else f" of {format_bytes(progress.expected)}"
        parts.append(f"{format_bytes(progress.done)}{expected}")
    if progress.rate:
        parts.append(f"{format_bytes(progress.rate)}/s")
    left = progress.seconds_left
    if left is not None:
        parts.append(f"{age_text(left)} left")
    if progress.lag is not None:
        parts.append(f"{age_text(progress.lag)} behind")
    return ", ".join(parts)


def start_text(start_at: float | None) -> str:
    """A start time in local time."""
    return "now" if start_at is None else f"{datetime.fromtimestamp(start_at).astimezone():%Y-%m-%d %H:%M}"


def _common_reasons(verdicts: Sequence[Verdict]) -> list[Reason]:
    if len(verdicts) < 2:  # noqa: PLR2004 - with one host there is nothing to share
        return []
    return [reason for reason in verdicts[0].reasons if all(reason in verdict.reasons for verdict in verdicts)]


def _verdict(verdict: Verdict, decision: Decision) -> str:
    if verdict.host == decision.host:
        return "chosen"
    return "fits" if verdict.fits else "refused"


def _reasons(reasons: Iterable[Reason]) -> Text:
    return Text("\n").join(Text.assemble((reason.code, "bold"), f": {reason.sentence}") for reason in reasons)


def _holds(status: LaunchStatus) -> str:
    shown = (ResourceClass.CPU, ResourceClass.MEMORY, ResourceClass.DISK)
    parts = (f"{key.amount_text(status.held[key])}" for key in shown if key in status.held)
    return ", ".join(parts)


def _backup(status: LaunchStatus, progress: Progress | None) -> str:
    if progress is not None and status.record.state is LaunchState.RUNNING:
        return progress_text(progress)
    result = (status.record.outcome or {}).get("record") or {}
    stored = result.get("bytes_stored")
    return format_bytes(stored) if stored and result.get("state") == LaunchState.DONE.value else ""


def age_text(seconds: float) -> str:
    """How long something is there: `42s`, `3m`, `5h`, `2d`."""
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "m")):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"
