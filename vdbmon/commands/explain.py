"""`vdbmon explain`: why a container was placed where it is, or refused, from the ledger's record."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer
from pydantic import TypeAdapter
from rich.console import Console

from collector.errors import VdbmonError
from orchestrator.decision.documents import read_decision
from orchestrator.ledger import Event, open_ledger
from orchestrator.placement.explanation import Explanation
from orchestrator.placement.explanation import explain as explanation_of
from vdbmon.config import find_config, load_config
from vdbmon.options import ConfigOption
from vdbmon.tables import decision_table
from vdbmon.times import time_text

app = typer.Typer(add_completion=False)


@app.command()
def explain(
    name: Annotated[str, typer.Argument(help="Name of the container.", show_default=False)],
    *,
    request: Annotated[str | None, typer.Option(help="Id of an earlier request, or its beginning.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    config: ConfigOption = None,
) -> None:
    """Show the decision on a container again, and what came of it; refused ones too."""
    settings = load_config(find_config(config))
    with contextlib.closing(open_ledger(settings.ledger.url)) as ledger:
        explanation = explanation_of(ledger, name, request_id=request)
    if as_json:
        typer.echo(TypeAdapter(Explanation).dump_json(explanation, indent=2).decode())
    else:
        _show(explanation)


def _show(explanation: Explanation) -> None:
    try:
        decision = read_decision(explanation.decision)
    except (KeyError, ValueError) as error:
        raise VdbmonError(
            "decision.unreadable", f"another version of vdbmon decided on {explanation.name}", "`--json` shows it as is"
        ) from error
    Console().print(decision_table(decision))
    by = f" by {explanation.who}" if explanation.who else ""
    typer.echo(f"decided {time_text(explanation.decided_at)}{by}, request {explanation.request_id}")
    for event in explanation.events:
        typer.echo(f"  {time_text(event.at)}  {_line(event)}")
    if explanation.earlier:
        newest = explanation.earlier[-1]
        typer.echo(f"{len(explanation.earlier)} earlier: vdbmon explain {explanation.name} --request {newest[:8]}")


def _line(event: Event) -> str:
    if event.kind == "override":
        codes = ", ".join(event.detail["codes"])
        return f"override by {event.who}: {codes}: {event.detail['why']}"
    what = f"{event.kind} by {event.who}" if event.who else event.kind
    said = event.detail if isinstance(event.detail, str) else None
    return f"{what}: {said}" if said else what
