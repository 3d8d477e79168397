"""Place a batch: show the plan, then launch what it says, one after the other."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import typer
from rich.console import Console

from collector.errors import VdbmonError
from orchestrator.decision.documents import plan_document
from orchestrator.decision.planning import Assignment, plan_batch
from orchestrator.decision.scoring import Strategy
from orchestrator.launch import Launched
from orchestrator.placement.outcomes import launched_document
from orchestrator.placement.requests import Wanted
from orchestrator.placement.scheduler import Scheduler, open_scheduler
from vdbmon.config import Config
from vdbmon.plans import plan_view
from vdbmon.tables import start_text

REFUSED = 3
"""Exit code of a refusal: no host can take the container now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What came of one of a plan.

    Attributes:
        code: 0 launched, 1 failed, 3 refused or planned for later.
        said: why it was not launched.
    """

    assignment: Assignment
    code: int
    launched: Launched | None = None
    said: str | None = None


def place_batch(config: Config, batch: Sequence[Wanted], *, strategy: Strategy, dry_run: bool, as_json: bool) -> int:
    """Plan, show, launch; the exit code: 0 all launched, 1 some launch failed, 3 some had to be refused.

    Every launch is decided again on its host: the fleet may have changed since the plan.
    """
    with open_scheduler(config.fleet(), config.host.name, strategy=strategy) as scheduler:
        plan = plan_batch(scheduler.snapshot(), [scheduler.wanted(wanted) for wanted in batch], strategy)
        if not as_json:
            Console().print(plan_view(plan, verb="place"))
        outcomes = []
        for assignment in () if dry_run else plan.assignments:
            outcomes.append(_launch(scheduler, assignment))
            _tell(outcomes[-1], quiet=as_json)
    if as_json:
        launches = None if dry_run else [_document(outcome) for outcome in outcomes]
        typer.echo(json.dumps({**plan_document(plan), "launches": launches}, indent=2))
    codes = {outcome.code for outcome in outcomes}
    if 1 in codes:
        return 1
    return REFUSED if plan.refused or REFUSED in codes else 0


def _launch(scheduler: Scheduler, assignment: Assignment) -> _Outcome:
    """Launch one of a plan on its host."""
    request = assignment.request
    if assignment.start_at is not None:
        said = f"{request.name} is to start at {start_text(assignment.start_at)}; place it then"
        return _Outcome(assignment=assignment, code=REFUSED, said=said)
    there = replace(request, wishes=replace(request.wishes, host=assignment.host))
    try:
        placement = scheduler.place(there, decided=lambda _: None)
    except VdbmonError as error:
        return _Outcome(assignment=assignment, code=1, said=f"{request.name}: {error}")
    if placement.launched is None:
        reasons = (item.reasons for item in placement.decision.verdicts if item.host == assignment.host)
        why = "; ".join(reason.sentence for some in reasons for reason in some) or placement.decision.why
        said = f"{request.name} was refused by {assignment.host} meanwhile: {why}"
        return _Outcome(assignment=assignment, code=REFUSED, said=said)
    return _Outcome(assignment=assignment, code=0, launched=placement.launched)


def _tell(outcome: _Outcome, *, quiet: bool) -> None:
    """One line, whatever came of it."""
    if outcome.launched is None:
        typer.echo(f"vdbmon: {outcome.said}", err=True)
    elif not quiet:
        name, host = outcome.assignment.request.name, outcome.assignment.host
        typer.echo(f"{name} launched on {host}: container {outcome.launched.container_id[:12]}")


def _document(outcome: _Outcome) -> dict[str, Any]:
    return {
        "name": outcome.assignment.request.name,
        "host": outcome.assignment.host,
        "launched": launched_document(outcome.launched),
        "error": outcome.said,
    }
