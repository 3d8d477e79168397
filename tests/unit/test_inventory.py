import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.decision.resources import InventoryRow, ResourceClass, inventory_rows
from orchestrator.settings import Inventory, Reserved

amounts = st.integers(min_value=0, max_value=2**50)


@given(total=amounts, reserved=amounts, allocated=amounts, used=amounts)
def test_free_is_total_less_reserved_less_the_larger_of_allocated_and_used(
    total: int, reserved: int, allocated: int, used: int
) -> None:
    assert InventoryRow(total, reserved).free(allocated, used) == total - reserved - max(allocated, used)


@given(total=amounts, allocated=amounts)
def test_unknown_use_counts_by_allocation_alone(total: int, allocated: int) -> None:
    assert InventoryRow(total).free(allocated, None) == total - allocated


def test_ratio_stretches_allocations_but_not_what_is_there() -> None:
    row = InventoryRow(total=4000, ratio=2.0)
    assert row.free(5000, 0) == 3000
    assert row.free(5000, 3500) == 500


def test_rows_of_settings_count_cpu_in_millicores_and_keep_the_reserve() -> None:
    rows = inventory_rows(
        Inventory(
            cpus=2.5,
            memory=2**33,
            disk=10**11,
            read_bps=10**8,
            write_bps=10**8,
            cpu_ratio=1.5,
            reserved=Reserved(cpus=0.5, memory=2**30),
        )
    )
    assert rows[ResourceClass.SLOTS] == InventoryRow(5)
    assert rows[ResourceClass.CPU] == InventoryRow(2500, 500, 1.5)
    assert rows[ResourceClass.CPU].sellable == 3000
    assert rows[ResourceClass.MEMORY].usable == 2**33 - 2**30
    assert rows[ResourceClass.DISK].reserved == 0


@pytest.mark.parametrize(
    ("dimension", "amount", "text"),
    [
        (ResourceClass.SLOTS, 5, "5"),
        (ResourceClass.CPU, 1500, "1.5 cores"),
        (ResourceClass.CPU, 1000, "1 core"),
        (ResourceClass.MEMORY, 2**30, "1 GiB"),
        (ResourceClass.READ_BPS, 50_000_000, "47.7 MiB/s"),
    ],
)
def test_amounts_are_shown_in_human_units(dimension: ResourceClass, amount: int, text: str) -> None:
    assert dimension.amount_text(amount) == text
