"""`vdbmon agent run|test|metrics|compat|zabbix-template|check-config`."""

from __future__ import annotations

import signal
import threading

import typer

from collector.agent.service import AgentService, collect_once
from collector.catalogue import METRICS
from collector.compat import compat_page
from collector.docs import metrics_page
from vdbmon.config import Config, find_config, load_config
from vdbmon.logging import configure_logging
from vdbmon.options import ConfigOption

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def _agent() -> None:
    """The agent on this host: it reads and never decides."""


def _load(option: ConfigOption) -> Config:
    return load_config(find_config(option))


@app.command()
def run(config: ConfigOption = None) -> None:
    """Serve /metrics and push to the outputs until SIGTERM or SIGINT."""
    configure_logging()
    loaded = _load(config)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with AgentService(loaded.host.name, loaded.agent, loaded.agent_inputs(), loaded.outputs) as service:
        typer.echo(f"vdbmon agent of {loaded.host.name}: {service.url}", err=True)
        stop.wait()


@app.command("test")
def print_collection(config: ConfigOption = None) -> None:
    """Print one collection as line protocol, write nothing anywhere."""
    loaded = _load(config)
    for line in collect_once(loaded.host.name, loaded.agent, loaded.agent_inputs()):
        typer.echo(line)


@app.command()
def metrics() -> None:
    """Print the page of all metrics, docs/metrics.md."""
    typer.echo(metrics_page(METRICS), nl=False)


@app.command()
def compat() -> None:
    """Print the page of names of other programs, docs/compat.md."""
    typer.echo(compat_page(), nl=False)


@app.command("zabbix-template")
def print_zabbix_template() -> None:
    """Print the template for Zabbix, deploy/zabbix/vdbmon.yaml."""
    from collector.zabbix_template import zabbix_template  # noqa: PLC0415 - `run` can do without PyYAML

    typer.echo(zabbix_template(), nl=False)


@app.command("check-config")
def check_config(config: ConfigOption = None) -> None:
    """Check the configuration file: names file, key and what would be right."""
    path = find_config(config)
    load_config(path)
    typer.echo(f"{path}: ok")
