"""Leaks and audits, for terminals of 80 columns and for pipes."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from orchestrator.reconcile import AgedLeak, HostAudit
from vdbmon.tables import age_text


def leak_line(aged: AgedLeak) -> str:
    """One leak in one line."""
    leak = aged.leak
    age = f", for {age_text(aged.age)}" if aged.age is not None else ""
    waits = "; it goes when its grace is over" if leak.mendable else ""
    return f"{leak.kind} {leak.name} on {leak.host}{age}: {leak.code}: {leak.text}{waits}"


def audit_table(rows: Sequence[HostAudit]) -> Table:
    """A row per host, and below it one per leak."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("host", overflow="fold")
    table.add_column("what", overflow="fold")
    table.add_column("age", no_wrap=True)
    table.add_column("finding", overflow="fold")
    for row in rows:
        table.add_row(escape(row.host), "", "", escape(_summary(row)))
        for aged in row.leaks:
            age = age_text(aged.age) if aged.age is not None else "?"
            what = f"{aged.leak.kind} {aged.leak.name}"
            table.add_row("", escape(what), age, escape(f"{aged.leak.code}: {aged.leak.text}"))
    return table


def _summary(row: HostAudit) -> str:
    if row.unknown is not None:
        return f"unknown: {row.unknown}"
    leaks = f"{len(row.leaks)} leaks" if row.leaks else "no leak"
    return f"{row.containers} containers, {row.volumes} volumes: {leaks}"
