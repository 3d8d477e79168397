"""Resource classes, and how much of each a host offers.

The model is that of OpenStack Placement: an inventory row (total, reserved, ratio) per host and class. Amounts are
whole numbers in the class's base unit, so that sums in the ledger are exact: CPU counts in thousandths of a core.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from collector.quantities import format_bytes
from orchestrator.settings import Inventory

MILLI = 1000


class ResourceClass(StrEnum):
    """What is counted. The value is the name in settings, ledger, JSON and reason codes."""

    SLOTS = "slots"
    CPU = "cpu"
    MEMORY = "memory"
    DISK = "disk"
    READ_BPS = "read_bps"
    WRITE_BPS = "write_bps"
    READ_IOPS = "read_iops"
    WRITE_IOPS = "write_iops"
    NETWORK_IN = "network_in"
    NETWORK_OUT = "network_out"

    @property
    def unit(self) -> str:
        """The unit that amounts of this class count in."""
        return _UNITS[self]

    @property
    def label(self) -> str:
        """The class in a sentence."""
        return _LABELS[self]

    @property
    def measured(self) -> bool:
        """Whether use is read from telemetry; what isn't is counted by allocation alone."""
        return self is not ResourceClass.SLOTS

    def amount_text(self, amount: int) -> str:
        """An amount for people: `1.5 cores`, `3.2 GiB`, `47.7 MiB/s`, `800 op/s`, `2`."""
        match self:
            case ResourceClass.SLOTS:
                return str(amount)
            case ResourceClass.CPU:
                return f"{amount / MILLI:g} {'core' if amount == MILLI else 'cores'}"
            case ResourceClass.MEMORY | ResourceClass.DISK:
                return format_bytes(amount)
            case ResourceClass.READ_IOPS | ResourceClass.WRITE_IOPS:
                return f"{amount} op/s"
            case _:
                return f"{format_bytes(amount)}/s"


_UNITS = {
    ResourceClass.SLOTS: "slots",
    ResourceClass.CPU: "millicores",
    ResourceClass.MEMORY: "bytes",
    ResourceClass.DISK: "bytes",
    ResourceClass.READ_BPS: "bytes/s",
    ResourceClass.WRITE_BPS: "bytes/s",
    ResourceClass.READ_IOPS: "operations/s",
    ResourceClass.WRITE_IOPS: "operations/s",
    ResourceClass.NETWORK_IN: "bytes/s",
    ResourceClass.NETWORK_OUT: "bytes/s",
}
_LABELS = {
    ResourceClass.SLOTS: "slots",
    ResourceClass.CPU: "CPU",
    ResourceClass.MEMORY: "memory",
    ResourceClass.DISK: "disk space",
    ResourceClass.READ_BPS: "disk reads",
    ResourceClass.WRITE_BPS: "disk writes",
    ResourceClass.READ_IOPS: "read operations",
    ResourceClass.WRITE_IOPS: "write operations",
    ResourceClass.NETWORK_IN: "network in",
    ResourceClass.NETWORK_OUT: "network out",
}

Amounts = Mapping[ResourceClass, int]
"""Amount per class; a class that is absent is not asked for, or not known."""

HELD_WHILE_RUNNING = frozenset(ResourceClass) - {ResourceClass.DISK}
"""Given back when a job ends; disk space is held as long as the volume is there."""


@dataclass(frozen=True, slots=True)
class InventoryRow:
    """How much of one class a host offers.

    Attributes:
        total: in the class's unit.
        reserved: stays free for the host itself.
        ratio: how far allocations may exceed what is physically there (1.0: not at all).
    """

    total: int
    reserved: int = 0
    ratio: float = 1.0

    @property
    def usable(self) -> int:
        """What containers may really use."""
        return self.total - self.reserved

    @property
    def sellable(self) -> int:
        """What may be allocated to them."""
        return math.floor(self.usable * self.ratio)

    def free(self, allocated: int, used: int | None) -> int:
        """What is left; below zero where the host is overdrawn.

        With a ratio of 1 this is total - reserved - max(allocated, used): what was placed moments ago counts by its
        allocation until its use shows. A ratio stretches the allocations, never what is physically there.
        """
        unsold = self.sellable - allocated
        return unsold if used is None else min(unsold, self.usable - used)

    def room(self, allocated: int, used: int | None) -> int:
        """What can be given away to several containers at once, whose use together will stay below by the ratio."""
        unsold = self.sellable - allocated
        return max(unsold if used is None else min(unsold, math.floor((self.usable - used) * self.ratio)), 0)


def no_amounts() -> Amounts:
    """Nothing of any class."""
    return MappingProxyType({})


InventoryRows = Mapping[ResourceClass, InventoryRow]
"""Row per class; a class that is absent is not counted on that host, and what asks for it is refused there."""


def millicores(cpus: float) -> int:
    """Cores as the ledger counts them."""
    return round(cpus * MILLI)


def inventory_rows(inventory: Inventory) -> InventoryRows:
    """The rows of a host's settings."""
    reserved = inventory.reserved
    rows = {
        ResourceClass.SLOTS: InventoryRow(inventory.slots),
        ResourceClass.CPU: InventoryRow(millicores(inventory.cpus), millicores(reserved.cpus), inventory.cpu_ratio),
        ResourceClass.MEMORY: InventoryRow(inventory.memory, reserved.memory or 0),
        ResourceClass.DISK: InventoryRow(inventory.disk, reserved.disk or 0),
        ResourceClass.READ_BPS: InventoryRow(inventory.read_bps),
        ResourceClass.WRITE_BPS: InventoryRow(inventory.write_bps),
    }
    optional = {
        ResourceClass.READ_IOPS: inventory.read_iops,
        ResourceClass.WRITE_IOPS: inventory.write_iops,
        ResourceClass.NETWORK_IN: inventory.network_in,
        ResourceClass.NETWORK_OUT: inventory.network_out,
    }
    rows |= {key: InventoryRow(total) for key, total in optional.items() if total is not None}
    return MappingProxyType(rows)
