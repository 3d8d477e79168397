"""Place a batch: show the plan, then launch what it says, one after the other."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import typer
from rich.console import Console

from collector.errors import VdbmonError
from orchestrator.decision.documents import plan_document
from orchestrator.decision.planning import Assignment, plan_batch
from orchestrator.decision.scoring import Strategy
from orchestrator.placement.requests import Wanted
from orchestrator.placement.scheduler import Scheduler, open_scheduler
from vdbmon.config import Config
from vdbmon.plans import plan_view
from vdbmon.tables import start_text

REFUSED = 3
"""Exit code of a refusal: no host can take the container now."""


def place_batch(config: Config, batch: Sequence[Wanted], *, strategy: Strategy, dry_run: bool, as_json: bool) -> int:
    """Plan, show, launch; the exit code: 0 all launched, 1 some launch failed, 3 some had to be refused.

    Every launch is decided again on its host: the fleet may have changed since the plan.
    """
    with open_scheduler(config.fleet(), config.host.name, strategy=strategy) as scheduler:
        plan = plan_batch(scheduler.snapshot(), [scheduler.wanted(wanted) for wanted in batch], strategy)
        if not as_json:
            Console().print(plan_view(plan, verb="place"))
        codes = {0} if dry_run else {_launch(scheduler, item, quiet=as_json) for item in plan.assignments}
        if as_json:
            typer.echo(json.dumps(plan_document(plan), indent=2))
    if 1 in codes:
        return 1
    return REFUSED if plan.refused or REFUSED in codes else 0


def _launch(scheduler: Scheduler, assignment: Assignment, *, quiet: bool) -> int:
    """Launch one of a plan on its host; one line, whatever comes of it."""
    request = assignment.request
    if assignment.start_at is not None:
        typer.echo(f"vdbmon: {request.name} is to start at {start_text(assignment.start_at)}; place it then", err=True)
        return REFUSED
    there = replace(request, wishes=replace(request.wishes, host=assignment.host))
    try:
        placement = scheduler.place(there, decided=lambda _: None)
    except VdbmonError as error:
        typer.echo(f"vdbmon: {request.name}: {error}", err=True)
        return 1
    if placement.launched is None:
        reasons = (item.reasons for item in placement.decision.verdicts if item.host == assignment.host)
        said = "; ".join(reason.sentence for some in reasons for reason in some) or placement.decision.why
        typer.echo(f"vdbmon: {request.name} was refused by {assignment.host} meanwhile: {said}", err=True)
        return REFUSED
    if not quiet:
        typer.echo(f"{request.name} launched on {assignment.host}: container {placement.launched.container_id[:12]}")
    return 0
