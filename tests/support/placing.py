"""Fleets for the pure part of the scheduler: as many hosts and jobs as a test wants, no server behind them."""

from __future__ import annotations

import random
from pathlib import Path
from types import MappingProxyType

from orchestrator.decision.request import Request
from orchestrator.decision.resources import Amounts, InventoryRow, InventoryRows, ResourceClass
from orchestrator.decision.snapshot import (
    EngineState,
    GateGroup,
    GateReading,
    HostState,
    PlacedJob,
    Snapshot,
    Telemetry,
)
from orchestrator.settings import Reach, SourceSettings

NOW = 1_000_000.0
GIB = 2**30
EVERY_REACH = frozenset(Reach)
OPEN_GATE = GateReading(
    now=NOW,
    started_at=NOW - 3600,
    groups=(GateGroup(name="gate", evaluated_at=NOW - 3, interval=5.0),),
    gate_rules=4,
    watchdog_firing=True,
    alerts=(),
)
REMOTE = SourceSettings(
    name="orders", reach=Reach.STREAM, address="tcp://orders:3306", credentials_file=Path("/etc/orders.cnf")
)
LARGE: InventoryRows = MappingProxyType(
    {
        ResourceClass.SLOTS: InventoryRow(8),
        ResourceClass.CPU: InventoryRow(16_000, 1_000, 1.5),
        ResourceClass.MEMORY: InventoryRow(128 * GIB, 8 * GIB),
        ResourceClass.DISK: InventoryRow(4000 * GIB, 100 * GIB),
        ResourceClass.READ_BPS: InventoryRow(800_000_000),
        ResourceClass.WRITE_BPS: InventoryRow(600_000_000),
        ResourceClass.READ_IOPS: InventoryRow(40_000),
        ResourceClass.WRITE_IOPS: InventoryRow(20_000),
        ResourceClass.NETWORK_IN: InventoryRow(1_250_000_000),
        ResourceClass.NETWORK_OUT: InventoryRow(1_250_000_000),
    }
)
IDLE = Telemetry(up=True, age=2.0, used=MappingProxyType({key: 0 for key in ResourceClass if key.measured}))


def inventory(scale: float = 1.0) -> InventoryRows:
    """A machine of that size."""
    rows = {
        key: InventoryRow(max(int(row.total * scale), 1), int(row.reserved * scale), row.ratio)
        for key, row in LARGE.items()
    }
    return MappingProxyType(rows)


def shares(rows: InventoryRows, parts: dict[ResourceClass, float]) -> Amounts:
    """Amounts that are these parts of what a host offers; one slot at least."""
    return {
        key: max(int(rows[key].sellable * part), 1 if key is ResourceClass.SLOTS else 0) for key, part in parts.items()
    }


def some_amounts(rng: random.Random, rows: InventoryRows = LARGE) -> Amounts:
    """What a container may ask for: a slot, and 5 to 20 % of each other class."""
    parts = {key: rng.uniform(0.05, 0.2) for key in rows}
    return {**shares(rows, parts), ResourceClass.SLOTS: 1}


def host(name: str, *, jobs: tuple[PlacedJob, ...] = (), rows: InventoryRows = LARGE, **changes: object) -> HostState:
    """A host that is open and runs these jobs, which use what they were given."""
    allocated = {key: sum(job.amounts.get(key, 0) for job in jobs) for key in rows}
    base: dict[str, object] = {
        "name": name,
        "inventory": rows,
        "allocated": allocated,
        "engine": EngineState(fingerprint=f"engine-of-{name}", containers=frozenset(job.name for job in jobs)),
        "telemetry": Telemetry(up=True, age=2.0, used={key: value for key, value in allocated.items() if key.measured}),
        "reaches": EVERY_REACH,
        "jobs": jobs,
    }
    return HostState(**(base | changes))  # type: ignore[arg-type]


def job(number: int, amounts: Amounts, source: str = "orders") -> PlacedJob:
    """A live job."""
    return PlacedJob(request_id=f"r{number}", name=f"job{number}", source=source, job="backup", amounts=amounts)


def request(name: str, amounts: Amounts, source: SourceSettings = REMOTE) -> Request:
    """A request for a container."""
    return Request(name=name, request_id=f"id-{name}", source=source, job="backup", amounts=amounts)


def snapshot(*hosts: HostState, **changes: object) -> Snapshot:
    """A fleet of these hosts whose gate is open."""
    base: dict[str, object] = {"taken_at": NOW, "hosts": hosts, "gate": OPEN_GATE}
    return Snapshot(**(base | changes))  # type: ignore[arg-type]
