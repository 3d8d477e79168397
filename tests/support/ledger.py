"""Launches and allocations for the ledger's tests."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from orchestrator.decision.request import Override
from orchestrator.decision.resources import Amounts, InventoryRow, ResourceClass
from orchestrator.ledger import Generations, LaunchRecord, LaunchState, Ledger

INVENTORY = MappingProxyType(
    {ResourceClass.SLOTS: InventoryRow(2), ResourceClass.DISK: InventoryRow(total=120, reserved=20)}
)
NEEDED: Amounts = MappingProxyType({ResourceClass.SLOTS: 1, ResourceClass.DISK: 40})


def record(name: str = "b1", request_id: str = "r1", *, host: str = "db1", source: str = "demo") -> LaunchRecord:
    """A launch that begins."""
    return LaunchRecord(
        request_id=request_id,
        name=name,
        host=host,
        source=source,
        job="backup",
        state=LaunchState.INTENT,
        spec={"image": "x"},
        spec_hash="0",
        created_at=1.0,
        updated_at=1.0,
    )


def allocate(
    ledger: Ledger,
    launch: LaunchRecord,
    *,
    expected: Generations | None = None,
    amounts: Amounts = NEEDED,
    max_readers: int | None = None,
    override: Override | None = None,
    decision: Any = MappingProxyType({"why": "only host"}),
) -> None:
    """Allocate on the generations that are in the ledger now, or on those given."""
    view = ledger.view()
    now = Generations(host=view.generations.get(launch.host, 0), source=view.source_generations.get(launch.source, 0))
    ledger.allocate(
        launch,
        amounts,
        inventory=INVENTORY,
        expected=expected or now,
        max_readers=max_readers,
        fingerprint="engine",
        decision=dict(decision),
        override=override,
    )
