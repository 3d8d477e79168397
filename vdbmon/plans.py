"""Plans for terminals and pipes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from orchestrator.decision.decide import Decision
from orchestrator.decision.planning import Plan
from orchestrator.decision.resources import Amounts, ResourceClass
from vdbmon.tables import decision_table, start_text

_SHOWN = 3
"""Refusals that are shown with every host's reasons; of more, only how many hosts have which."""


def plan_view(plan: Plan, *, verb: str) -> RenderableType:
    """What goes where, and why some goes nowhere. `verb` is what is planned: `place`, `move`."""
    parts: list[RenderableType] = [Text(_headline(plan, verb))]
    if plan.assignments:
        parts.append(_assignments(plan))
    if len(plan.refused) <= _SHOWN:
        parts.extend(decision_table(decision) for decision in plan.refused)
    else:
        parts.extend(Text(f"{decision.name}: refused: {_counts(decision)}") for decision in plan.refused)
        parts.append(Text("--json has the reasons of every host"))
    return Group(*parts)


def _headline(plan: Plan, verb: str) -> str:
    used = {assignment.host for assignment in plan.assignments}
    total = len(plan.assignments) + len(plan.refused)
    return f"{verb} {len(plan.assignments)} of {total} on {len(used)} of {len(plan.hosts)} hosts ({plan.strategy})"


def _assignments(plan: Plan) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("container", "source", "host"):
        table.add_column(name, overflow="fold")
    table.add_column("start", no_wrap=True)
    table.add_column("needs", overflow="fold")
    for assignment in plan.assignments:
        request = assignment.request
        cells = (request.name, request.source.name, assignment.host, start_text(assignment.start_at))
        table.add_row(*map(escape, cells), ", ".join(_needs(request.amounts)))
    return table


def _needs(amounts: Amounts) -> Iterator[str]:
    for key, amount in amounts.items():
        if key is not ResourceClass.SLOTS:
            yield f"{key.label} {key.amount_text(amount)}"


def _counts(decision: Decision) -> str:
    codes = Counter(code for verdict in decision.verdicts for code in {reason.code for reason in verdict.reasons})
    return ", ".join(f"{code} on {count}" for code, count in codes.most_common())
