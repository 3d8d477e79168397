"""A fleet that is well, and what is asked of it: the parts that tests of decisions change one at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from orchestrator.decision.request import Request
from orchestrator.decision.resources import Amounts, InventoryRow, ResourceClass
from orchestrator.decision.snapshot import (
    EngineState,
    GateAlert,
    GateGroup,
    GateReading,
    HostState,
    Snapshot,
    Telemetry,
)
from orchestrator.settings import Reach, SourceSettings

GIB = 2**30
NOW = 1_000_000.0
NEEDED: Amounts = MappingProxyType(
    {
        ResourceClass.SLOTS: 1,
        ResourceClass.CPU: 1000,
        ResourceClass.MEMORY: GIB,
        ResourceClass.DISK: 10 * GIB,
        ResourceClass.READ_BPS: 50_000_000,
        ResourceClass.WRITE_BPS: 50_000_000,
    }
)
INVENTORY = MappingProxyType(
    {
        ResourceClass.SLOTS: InventoryRow(5),
        ResourceClass.CPU: InventoryRow(8000),
        ResourceClass.MEMORY: InventoryRow(32 * GIB),
        ResourceClass.DISK: InventoryRow(500 * GIB),
        ResourceClass.READ_BPS: InventoryRow(400_000_000),
        ResourceClass.WRITE_BPS: InventoryRow(400_000_000),
    }
)
IDLE = Telemetry(up=True, age=2.0, used=MappingProxyType({key: 0 for key in ResourceClass if key.measured}))
SOURCE = SourceSettings(
    name="demo", reach=Reach.LOCAL, address="unix:///s", credentials_file=Path("/c"), host="db1", data_dir=Path("/d")
)
OPEN_GATE = GateReading(
    now=NOW,
    started_at=NOW - 3600,
    groups=(GateGroup(name="gate", evaluated_at=NOW - 3, interval=5.0),),
    gate_rules=4,
    watchdog_firing=True,
    alerts=(),
)


def request(**changes: object) -> Request:
    """A request that fits on every host."""
    base = Request(name="b1", request_id="r1", source=SOURCE, job="backup", amounts=NEEDED)
    return replace(base, **changes)  # type: ignore[arg-type]


def host(name: str = "db1", **changes: object) -> HostState:
    """A host with room."""
    engine = EngineState(fingerprint=f"engine-of-{name}")
    base = HostState(name=name, inventory=INVENTORY, engine=engine, telemetry=IDLE)
    return replace(base, **changes)  # type: ignore[arg-type]


def snapshot(*hosts: HostState, **changes: object) -> Snapshot:
    """The fleet; one host unless given."""
    base = Snapshot(taken_at=NOW, hosts=hosts or (host(),), gate=OPEN_GATE)
    return replace(base, **changes)  # type: ignore[arg-type]


def gate(**changes: object) -> GateReading:
    """An open gate."""
    return replace(OPEN_GATE, **changes)  # type: ignore[arg-type]


def alert(name: str = "HostDiskFilling", **changes: object) -> GateAlert:
    """A firing gate alert of one host."""
    base = GateAlert(name=name, host="db1", fleet=False, firing=True, summary="3 % left")
    return replace(base, **changes)  # type: ignore[arg-type]
