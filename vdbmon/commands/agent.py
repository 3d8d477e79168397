"""`vdbmon agent run|test|metrics|compat|zabbix-template|config|check-config`."""

from __future__ import annotations

import typer

from collector.agent.service import collect_once
from collector.catalogue import FLEET_METRICS, METRICS
from collector.compat import compat_page
from collector.docs import metrics_page
from vdbmon.agent_process import run_agent
from vdbmon.config import find_config, load_config
from vdbmon.logging import configure_logging
from vdbmon.options import ConfigOption

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def _agent() -> None:
    """The agent on this host: it reads and never decides."""


@app.command()
def run(config: ConfigOption = None) -> None:
    """Serve /metrics and push to the outputs until SIGTERM or SIGINT; SIGHUP reads the configuration again."""
    configure_logging()
    run_agent(find_config(config))


@app.command("test")
def print_collection(config: ConfigOption = None) -> None:
    """Print one collection as line protocol, write nothing anywhere."""
    for line in collect_once(load_config(find_config(config)).agent_config()):
        typer.echo(line)


@app.command()
def metrics() -> None:
    """Print the page of all metrics, docs/metrics.md."""
    typer.echo(metrics_page(METRICS, FLEET_METRICS), nl=False)


@app.command()
def compat() -> None:
    """Print the page of names of other programs, docs/compat.md."""
    typer.echo(compat_page(), nl=False)


@app.command("zabbix-template")
def print_zabbix_template() -> None:
    """Print the template for Zabbix, deploy/zabbix/vdbmon.yaml."""
    from collector.zabbix_template import zabbix_template  # noqa: PLC0415 - `run` can do without PyYAML

    typer.echo(zabbix_template(), nl=False)


@app.command("config")
def config_sample() -> None:
    """Print the configuration file with every setting, commented: deploy/vdbmon.toml.sample."""
    from vdbmon.sample import sample_config  # noqa: PLC0415 - `run` can do without it

    typer.echo(sample_config(), nl=False)


@app.command("check-config")
def check_config(config: ConfigOption = None) -> None:
    """Check the configuration file: names file, key and what would be right."""
    path = find_config(config)
    load_config(path)
    typer.echo(f"{path}: ok")
