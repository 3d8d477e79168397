"""Options of `vdbmon place`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.backup.job_names import JobName
from orchestrator.decision.scoring import Strategy
from orchestrator.decision.sizes import CPUS, DEFAULTS

_OVERRIDE_HELP = "A code of the gate that is not to count, as alert.firing; needs --why."

Name = Annotated[str | None, typer.Argument(help="Name of the container.", show_default=False)]
Source = Annotated[str | None, typer.Option(help="The database, as the configuration names it.", show_default=False)]
Batch = Annotated[
    Path | None, typer.Option(help="TOML or JSON lines: many containers, planned together.", dir_okay=False)
]
Job = Annotated[str, typer.Option(help=f"What to do with it: {', '.join(JobName)}.")]
Backup = Annotated[str | None, typer.Option(help="restore, verify, standby, copy: this one, not the last good one.")]
Incremental = Annotated[bool, typer.Option("--incremental", help="backup: what changed since the last good one.")]
Until = Annotated[
    str | None, typer.Option(help="restore: 'YYYY-MM-DD HH:MM:SS' in UTC or with +01:00, FILE:POSITION, or end.")
]
Table = Annotated[str | None, typer.Option(help="restore: DATABASE.TABLE of a logical dump.")]
Serve = Annotated[bool, typer.Option("--serve", help="restore: keep the restored server up.")]
Size = Annotated[
    str | None, typer.Option(help="auto: what earlier runs needed, with a margin, where no limit is given.")
]
Cpus = Annotated[float | None, typer.Option(help="CPU limit in cores.", show_default=DEFAULTS[CPUS])]
Cpuset = Annotated[str | None, typer.Option(help="Only on these processors, as 0-3,6.")]
Memory = Annotated[str | None, typer.Option(help="Memory limit, with swap.", show_default=DEFAULTS["memory"])]
Disk = Annotated[
    str | None,
    typer.Option(help="Size of the volume: hard on this host, counted on others.", show_default=DEFAULTS["disk"]),
]
ReadBps = Annotated[str | None, typer.Option(help="Bytes read per second.", show_default=DEFAULTS["read_bps"])]
WriteBps = Annotated[str | None, typer.Option(help="Bytes written per second.", show_default=DEFAULTS["write_bps"])]
ReadIops = Annotated[int | None, typer.Option(help="Read operations per second.")]
WriteIops = Annotated[int | None, typer.Option(help="Write operations per second.")]
NetworkIn = Annotated[str | None, typer.Option(help="Received per second; counted, not limited.")]
NetworkOut = Annotated[str | None, typer.Option(help="Sent per second; counted, not limited.")]
NotBefore = Annotated[str | None, typer.Option(help="Earliest start: 02:00, or ISO 8601.")]
Deadline = Annotated[str | None, typer.Option(help="Latest end: 06:00, or ISO 8601.")]
Duration = Annotated[str, typer.Option(help="How long it is expected to run, if it has a window.")]
Host = Annotated[str | None, typer.Option(help="Only on this host.")]
Zone = Annotated[str | None, typer.Option(help="Only in this zone.")]
DeviceClass = Annotated[str | None, typer.Option(help="Only on disks of this class.")]
Pool = Annotated[str | None, typer.Option(help="With an address of this pool, where a host has it.")]
Label = Annotated[list[str] | None, typer.Option(help="Only on hosts with this KEY=VALUE.")]
Apart = Annotated[bool, typer.Option("--apart", help="Not beside another job of the source.")]
Packing = Annotated[Strategy, typer.Option(help="Keep jobs apart, or hosts free.")]
Overrides = Annotated[list[str] | None, typer.Option(help=_OVERRIDE_HELP)]
Why = Annotated[str | None, typer.Option(help="Why it is not to count, for the record.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Decide, and launch nothing.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until the job ends; exit with 1 if it failed.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
