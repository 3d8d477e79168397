"""Tables of `vdbmon capacity`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from collector.errors import VdbmonError
from orchestrator.capacity.figures import Consolidation, Dimension, Dimensions, HostCapacity, WhatIf, fleet_dimensions
from orchestrator.capacity.forecast import LEAST_DAYS, Forecast, Forecasts
from orchestrator.decision.resources import ResourceClass


def capacity_view(
    hosts: Sequence[HostCapacity], growth: Forecasts | VdbmonError, *, alone: str | None = None
) -> RenderableType:
    """A table for every host, or for one alone, and one for the fleet with its forecast."""
    parts: list[RenderableType] = []
    for host in hosts if alone is None else (host for host in hosts if host.host == alone):
        age = "no metrics" if host.age is None else f"metrics {host.age:.0f} s old"
        parts.append(Text(f"{host.host}: {age}", style="bold"))
        parts.extend(Text(f"  closed: {reason.code}: {reason.sentence}") for reason in host.closed)
        parts.append(_dimensions(host.dimensions))
    fleet = fleet_dimensions(hosts)
    parts.append(Text(f"fleet: {len(hosts)} hosts", style="bold"))
    parts.append(_dimensions(fleet))
    if isinstance(growth, VdbmonError):
        parts.append(Text(f"no forecast: {growth}"))
    else:
        parts.append(_forecasts(growth))
    return Group(*parts)


def what_if_view(answer: WhatIf) -> RenderableType:
    """How many fit on each host, and what runs out first."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("host", overflow="fold")
    table.add_column("fit", justify="right")
    table.add_column("runs out first", overflow="fold")
    for fit in answer.hosts:
        closed = "; ".join(f"{reason.code}: {reason.sentence}" for reason in fit.closed)
        table.add_row(escape(fit.host), str(fit.count), escape(f"closed: {closed}" if closed else _labels(fit.first)))
    needed = ", ".join(f"{key.label} {key.amount_text(amount)}" for key, amount in answer.needed.items())
    limits = ", ".join(f"{key.label} on {count}" for key, count in answer.first.items()) or "no host is open"
    return Group(Text(f"{answer.total} more fit of: {needed}"), Text(f"runs out first: {limits}"), table)


def consolidation_view(saving: Consolidation) -> RenderableType:
    """Machines saved, with the figures behind it."""
    busy = len(saving.instances)
    lines = [
        f"{saving.total} instances run on {saving.hosts} hosts: {saving.saved} machines saved against one each",
        f"{busy} hosts run any, {saving.total / busy:.1f} on average" if busy else "no host runs any",
        "not all of them would fit by what they may take"
        if saving.fewest is None
        else f"by what they may take, {saving.fewest} of the hosts could hold them all",
    ]
    table = Table("host", "instances", box=box.SIMPLE_HEAD, pad_edge=False)
    for name, count in saving.instances.items():
        table.add_row(escape(name), str(count))
    return Group(*map(Text, lines), table)


def _dimensions(dimensions: Dimensions) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for name in ("total", "reserved", "allocated", "others", "used", "free"):
        table.add_column(name, justify="right")
    for key, one in dimensions.items():
        table.add_row(key.label, *_amounts(key, one))
    return table


def _amounts(key: ResourceClass, one: Dimension) -> Iterable[str]:
    for amount in (one.total, one.reserved, one.allocated, one.others):
        yield key.amount_text(amount)
    yield ("unknown" if key.measured else "") if one.used is None else key.amount_text(one.used)
    yield key.amount_text(one.free)


def _forecasts(growth: Forecasts) -> Table:
    table = Table("", "growth per day", "full", box=box.SIMPLE_HEAD, pad_edge=False)
    for key, one in growth.items():
        table.add_row(key.label, *_forecast(key, one))
    return table


def _forecast(key: ResourceClass, one: Forecast) -> tuple[str, str]:
    if one.per_day is None:
        return "unknown", f"{one.days:.1f} days of history, {LEAST_DAYS} are needed"
    sign = "-" if one.per_day < 0 else ""
    growth = sign + key.amount_text(round(abs(one.per_day)))
    if one.full_at is None:
        return growth, "not at this growth"
    return growth, f"{datetime.fromtimestamp(one.full_at).astimezone():%Y-%m-%d}"


def _labels(keys: Iterable[ResourceClass]) -> str:
    return ", ".join(key.label for key in keys)
