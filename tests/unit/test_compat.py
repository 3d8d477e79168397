from pathlib import Path

import pytest

from collector.catalogue import METRICS
from collector.compat import CADVISOR, DOCKPROM, IN_THE_CATALOGUE, REFERENCES, compat_page, disagreements
from collector.compat_entries import Name, Reference


def test_the_page_says_what_the_catalogue_says() -> None:
    assert list(disagreements(IN_THE_CATALOGUE, METRICS)) == []


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ((Name("node_load1", missing="too hard"),), "listed as missing, and it is in the catalogue"),
        ((Name("node_load2"),), "listed as emitted, and it is not in the catalogue"),
        ((Name("node_load1"), Name("node_load1")), "listed twice"),
    ],
)
def test_an_entry_that_disagrees_is_found(names: tuple[Name, ...], sentence: str) -> None:
    assert [text for text in disagreements([Reference("x", "", names)], METRICS) if sentence in text]


def test_a_name_of_theirs_in_the_catalogue_is_on_the_page() -> None:
    prefixes = ("container_", "machine_", "node_")
    theirs = {name for name in METRICS if name.startswith(prefixes)}
    assert theirs - {entry.name for reference in REFERENCES for entry in reference.names} == set()


def test_what_dockprom_takes_of_cadvisor_has_one_answer() -> None:
    answers = {entry.name: bool(entry.missing) for entry in CADVISOR.names}
    assert {
        entry.name for entry in DOCKPROM.names if answers.get(entry.name, bool(entry.missing)) != bool(entry.missing)
    } == set()


def test_the_committed_page_is_the_generated_one() -> None:
    page = Path(__file__).parents[2] / "docs" / "compat.md"
    assert page.read_text() == compat_page(), "run `vdbmon agent compat > docs/compat.md`"


def test_no_cell_breaks_the_table() -> None:
    assert {line.count("|") for line in compat_page().splitlines() if line.startswith("|")} == {4}
