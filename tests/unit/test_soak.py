"""The soak fails on growth, and forgives what belongs to containers that are under way."""

from dataclasses import replace

import pytest

from tests.soak.__main__ import (
    DESCRIPTOR_BOUND,
    FILES_OF_A_CONTAINER,
    MEMORY_BOUND,
    THREAD_BOUND,
    Reading,
    complaint,
    table_of,
)

FIRST = Reading(
    seconds=60.0,
    memory=50 * 2**20,
    descriptors=300,
    threads=20,
    cpu_seconds=1.0,
    series=900,
    containers=10,
    parse_errors=2,
    inputs_down=0,
    started=100,
)


@pytest.mark.parametrize(
    ("name", "grown"),
    [
        ("memory", {"memory": FIRST.memory + MEMORY_BOUND + 1}),
        ("descriptors", {"descriptors": FIRST.descriptors + DESCRIPTOR_BOUND + 1}),
        ("threads", {"threads": FIRST.threads + THREAD_BOUND + 1}),
        ("parse errors", {"parse_errors": FIRST.parse_errors + 1}),
    ],
)
def test_what_grows_beyond_its_bound_is_named(name: str, grown: dict[str, int]) -> None:
    assert complaint(FIRST, replace(FIRST, **grown)).startswith(f"{name} grew by ")
    within = {key: value - 1 for key, value in grown.items()}
    assert complaint(FIRST, replace(FIRST, **within)) == ""


def test_descriptors_of_more_containers_are_no_growth() -> None:
    more = replace(FIRST, containers=15, descriptors=FIRST.descriptors + 5 * FILES_OF_A_CONTAINER)
    assert complaint(FIRST, more) == ""


def test_a_long_run_is_told_in_a_few_rows() -> None:
    assert 10 <= table_of([FIRST] * 500).row_count <= 15
    assert table_of([FIRST]).row_count == 1
