"""`vdbmon capacity`: what the fleet has, gave away, uses and has left; what fits in; when it is full; what it saves."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import Annotated

import typer
from rich.console import Console

from collector.errors import ConfigError, VdbmonError
from orchestrator.capacity.documents import capacity_document, consolidation_document, what_if_document
from orchestrator.capacity.figures import capacity, consolidation, fleet_dimensions, what_if
from orchestrator.capacity.forecast import Forecasts, forecasts, read_history
from orchestrator.decision.sizes import parse_spec
from orchestrator.decision.snapshot import Snapshot
from orchestrator.placement.requests import require_host
from orchestrator.placement.scheduler import open_scheduler
from orchestrator.settings import FleetSettings
from orchestrator.survey.deadline import ask_all
from orchestrator.survey.prometheus import PrometheusClient
from vdbmon.capacity_tables import capacity_view, consolidation_view, what_if_view
from vdbmon.config import find_config, load_config
from vdbmon.options import ConfigOption

HISTORY_SECONDS = 20.0
_HISTORY = "history"

app = typer.Typer(add_completion=False)


@app.command(name="capacity")
def show(
    *,
    spec: Annotated[
        str | None,
        typer.Option("--what-if", help="How many more fit: cpus=2,memory=4GiB,disk=200GiB,...", show_default=False),
    ] = None,
    consolidated: Annotated[
        bool, typer.Option("--consolidation", help="Machines saved against one instance per machine.")
    ] = False,
    host: Annotated[str | None, typer.Option(help="In the table this host alone, and the fleet.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    config: ConfigOption = None,
) -> None:
    """Per host and dimension total, allocated, used and free; when the fleet is full at the growth of four weeks."""
    if spec is not None and consolidated:
        raise ConfigError("request.capacity", "--what-if and --consolidation are two questions", "ask one at a time")
    needed = None if spec is None else parse_spec(spec)
    settings = load_config(find_config(config))
    if host is not None:
        require_host(host, settings.fleet())
    with open_scheduler(settings.fleet(), settings.host.name) as scheduler:
        snapshot = scheduler.snapshot()
    if needed is not None:
        answer = what_if(snapshot, needed)
        shown, document = what_if_view(answer), what_if_document(answer)
    elif consolidated:
        saving = consolidation(snapshot)
        shown, document = consolidation_view(saving), consolidation_document(saving)
    else:
        hosts, growth = capacity(snapshot), _growth(settings.fleet(), snapshot)
        shown, document = capacity_view(hosts, growth, alone=host), capacity_document(snapshot.taken_at, hosts, growth)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        Console().print(shown)


def _growth(fleet: FleetSettings, snapshot: Snapshot) -> Forecasts | VdbmonError:
    """The forecasts, or why there are none."""
    now = time.time()
    client = PrometheusClient(fleet.prometheus.url, timeout=HISTORY_SECONDS)
    answers = ask_all({_HISTORY: partial(read_history, client, fleet.volumes.dir, now=now)}, seconds=HISTORY_SECONDS)
    history = answers.get(_HISTORY)
    if history is None:
        return VdbmonError("prometheus.slow", f"Prometheus doesn't answer within {HISTORY_SECONDS:g} s")
    if isinstance(history, VdbmonError):
        return history
    return forecasts(fleet_dimensions(capacity(snapshot)), history, now=now)
