"""Draws docs/images/place.svg: `.venv/bin/python -m tests.drawings.place`.

A fleet of four hosts as a scheduler may find it; the decision and its words are the scheduler's own. A test holds the
picture to what they are today.
"""

from __future__ import annotations

import html
import io
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.text import Text

from orchestrator.decision.decide import decide
from orchestrator.decision.resources import InventoryRow, ResourceClass
from orchestrator.decision.snapshot import Cordon, HostState, Snapshot, Unknown
from orchestrator.settings import Reach
from tests.support.decisions import GIB, IDLE, NEEDED, NOW, alert, gate, host, request, snapshot
from vdbmon.tables import decision_table

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "place.svg"
WIDTH = 100
UNTIL = datetime(2026, 11, 27, 18, 0, tzinfo=UTC)

_TEXT = re.compile(r'<text [^>]*y="([\d.]+)"[^>]*>(.*?)</text>')


def fleet() -> Snapshot:
    """One host is too full, one hangs, one is closed by an operator, one has no room and old metrics."""
    hosts = (
        _host("dr-host-01", used=42),
        replace(_host("dr-host-02", used=20), engine=Unknown("engine tcp://10.0.0.12:2376 doesn't answer in time")),
        _host("dr-host-03", used=12),
        replace(_host("dr-host-04", used=60), allocated={ResourceClass.SLOTS: 5}),
    )
    return snapshot(
        *hosts,
        gate=gate(alerts=(alert("DockerDaemonHung", host="dr-host-02", summary="docker ps takes more than 10 s"),)),
        cordons=(Cordon("dr-host-03", "ann", "new disks", UNTIL.timestamp(), NOW),),
    )


def _host(name: str, *, used: int) -> HostState:
    """Of 64 GiB, so many of which are used."""
    base = host(name)
    rows = {**base.inventory, ResourceClass.MEMORY: InventoryRow(64 * GIB, 4 * GIB)}
    telemetry = replace(IDLE, used={**IDLE.used, ResourceClass.MEMORY: used * GIB})
    return replace(base, inventory=rows, telemetry=telemetry)


def draw() -> str:
    """Two commands and what they print, as SVG."""
    source = replace(request().source, name="orders", reach=Reach.STREAM, host=None)
    wanted = request(name="orders-nightly", source=source, amounts={**NEEDED, ResourceClass.MEMORY: 32 * GIB})
    smaller = replace(wanted, amounts={**NEEDED, ResourceClass.MEMORY: 16 * GIB})
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    for memory, asked in (("32GiB", wanted), ("16GiB", smaller)):
        command = f"$ vdbmon place orders-nightly --source orders --memory {memory} --dry-run"
        console.print(Text(command, style="bold"))
        console.print(decision_table(decide(fleet(), asked)))
    return console.export_svg(title="vdbmon place", unique_id="place")


def words(svg: str) -> list[str]:
    """The lines of text in a picture."""
    lines: dict[str, list[str]] = {}
    for height, text in _TEXT.findall(svg):
        lines.setdefault(height, []).append(html.unescape(text).replace("\xa0", " "))
    return ["".join(parts).rstrip() for parts in lines.values()]


if __name__ == "__main__":
    PICTURE.write_text(draw())
