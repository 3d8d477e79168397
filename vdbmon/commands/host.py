"""`vdbmon host`: what this host can do, for its inventory."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from collector.errors import ConfigError
from collector.quantities import format_bytes, parse_bytes, parse_seconds
from orchestrator.host.disk_probe import DiskFigures, probe_device, probe_folder
from vdbmon.config import find_config, load_config
from vdbmon.options import ConfigOption

app = typer.Typer(add_completion=False)


@app.callback()
def host() -> None:
    """What this host can do, for its inventory."""


@app.command(name="probe-disk")
def probe_disk(
    *,
    device: Annotated[Path | None, typer.Option(help="A block device: only its reads are measured.")] = None,
    folder: Annotated[
        Path | None, typer.Option("--dir", help="A folder on the disk; else that of the sized volumes.")
    ] = None,
    size: Annotated[str, typer.Option(help="At most so much is written at once, and read.")] = "1GiB",
    seconds: Annotated[str, typer.Option("--time", help="At most so long for each of six runs.")] = "5s",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    config: ConfigOption = None,
) -> None:
    """Measure a disk with fio, and propose the lines of its host's inventory. A raw device is never written."""
    if device is not None and folder is not None:
        raise ConfigError("probe.target", "--device and --dir are two targets", "give one")
    try:
        limit, each = parse_bytes(size), parse_seconds(seconds)
    except ValueError as error:
        raise ConfigError("probe.size", str(error)) from error
    if device is not None:
        figures = probe_device(device, size=limit, seconds=each)
    else:
        figures = probe_folder(folder or _volumes(config), size=limit, seconds=each)
    if as_json:
        typer.echo(json.dumps({**asdict(figures), "inventory": figures.inventory()}, indent=2))
    else:
        _show(figures)


def _volumes(config: Path | None) -> Path:
    """The folder of the sized volumes, or what there is above it before the first is made."""
    folder = load_config(find_config(config)).volumes.dir.absolute()
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def _show(figures: DiskFigures) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in (figures.where, "read", "write"):
        table.add_column(name, overflow="fold")
    table.add_row("sequential, 1 MiB", _rate(figures.read_bps), _rate(figures.write_bps))
    table.add_row("random, 4 KiB", _operations(figures.read_iops_4k), _operations(figures.write_iops_4k))
    table.add_row("random, 16 KiB", _operations(figures.read_iops_16k), _operations(figures.write_iops_16k))
    Console().print(table)
    typer.echo("[hosts.inventory]")
    for key, value in figures.inventory().items():
        typer.echo(f"{key} = {json.dumps(value)}")


def _rate(value: int | None) -> str:
    return "not measured" if value is None else f"{format_bytes(value)}/s"


def _operations(value: int | None) -> str:
    return "not measured" if value is None else f"{value} op/s"
