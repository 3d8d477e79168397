"""`vdbmon serve`: the process that runs once per fleet."""

from __future__ import annotations

import typer

from vdbmon.config import find_config
from vdbmon.logging import configure_logging
from vdbmon.options import ConfigOption
from vdbmon.serve_process import run_serve

app = typer.Typer(add_completion=False)


@app.command()
def serve(config: ConfigOption = None) -> None:
    """Reconcile, export ledger and decisions as metrics, give Prometheus its targets, until SIGTERM or SIGINT.

    Of several only the one that holds the lease acts; the others wait for it. SIGHUP reads the configuration again.
    """
    configure_logging()
    run_serve(find_config(config))
