import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.layout import Place, panel_ids, place_rows
from dashboards.spec import GRID_COLUMNS, Panel, Row

sizes = st.tuples(st.integers(1, GRID_COLUMNS), st.integers(1, 12))


def panel(slug: str, width: int, height: int) -> Panel:
    return Panel(slug=slug, title=slug, description="", width=width, height=height)


def row(*dimensions: tuple[int, int], slug: str = "r", collapsed: bool = False) -> Row:
    panels = tuple(panel(f"{slug}{number}", *each) for number, each in enumerate(dimensions))
    return Row(slug, slug, panels, collapsed=collapsed)


def cells(place: Place) -> set[tuple[int, int]]:
    return {(x, y) for x in range(place.x, place.x + place.w) for y in range(place.y, place.y + place.h)}


def test_panels_stand_side_by_side_until_the_line_is_full() -> None:
    (placed,) = place_rows([row((12, 8), (12, 4), (8, 2))])
    assert placed.title == Place(0, 0, 24, 1)
    assert [place for _, place in placed.panels] == [Place(0, 1, 12, 8), Place(12, 1, 12, 4), Place(0, 9, 8, 2)]


def test_a_row_follows_the_tallest_panel_of_the_one_before() -> None:
    _, second = place_rows([row((12, 8), (12, 4)), row((6, 6), slug="s")])
    assert second.title.y == 9


def test_a_collapsed_row_takes_the_height_of_its_title() -> None:
    first, second = place_rows([row((24, 8), collapsed=True), row((6, 6), slug="s")])
    assert first.panels[0][1] == Place(0, 1, 24, 8)
    assert second.title.y == 1


@given(st.lists(st.lists(sizes, min_size=1, max_size=8), min_size=1, max_size=4))
def test_open_rows_never_overlap(dimensions: list[list[tuple[int, int]]]) -> None:
    placed = place_rows([row(*each, slug=f"r{number}") for number, each in enumerate(dimensions)])
    places = [place for each in placed for place in (each.title, *(place for _, place in each.panels))]
    assert all(place.x + place.w <= GRID_COLUMNS for place in places)
    assert sum(len(cells(place)) for place in places) == len(set().union(*map(cells, places)))


@pytest.mark.parametrize(("width", "height"), [(25, 8), (0, 8), (8, 0)])
def test_a_panel_that_fits_no_grid_is_refused(width: int, height: int) -> None:
    with pytest.raises(ValueError, match=r"r0: .* does not fit the grid"):
        place_rows([row((width, height))])


def test_an_id_does_not_depend_on_the_other_panels() -> None:
    assert panel_ids("host", ["cpu", "memory"])["memory"] == panel_ids("host", ["disk", "memory", "x"])["memory"]
    assert panel_ids("host", ["cpu"]) != panel_ids("fleet", ["cpu"])


def test_ids_are_positive_and_exact_in_javascript() -> None:
    numbers = panel_ids("host", [str(number) for number in range(1000)]).values()
    assert all(0 <= number < 2**31 for number in numbers)


def test_a_slug_used_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="'cpu' is used twice"):
        panel_ids("host", ["cpu", "cpu"])
