"""The table at every width, in every character set."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from vdbmon.top.controls import Controls
from vdbmon.top.fleet import HostView, Trend
from vdbmon.top.formats import amount, cores, duration, percent, whole_cores
from vdbmon.top.frame import Size, screen_lines, table_once
from vdbmon.top.glyphs import ASCII, UTF8, Glyphs, sparkline
from vdbmon.top.listing import Sort, list_rows
from vdbmon.top.rows import ContainerRow, Figures, Group, HostRow, Use

GIB, MIB = 2**30, 2**20
BUSY = ContainerRow(
    "orders-backup",
    "vdbmon/backup:1",
    Figures(
        cpu=Use(1.98, 2),
        memory=Use(812 * MIB, GIB),
        read=Use(47.6 * MIB, 47.7 * MIB),
        write=Use(12 * MIB),
        received=Use(3.1 * MIB, 12 * MIB),
        sent=Use(100.0, 12 * MIB),
        throttled=0.41,
    ),
    (Group("mariadb-backup", 1, 1.21), Group("zstd", 4, 0.8)),
)
TRENDS: dict[str | None, Trend] = {"orders-backup": Trend(cpu=(None, 0.0, 0.5, 1.0))}
HOST = HostView(
    "dr-host-01",
    "http://10.0.0.11:9273/metrics",
    HostRow("dr-host-01", Figures(cpu=Use(5.1, 16)), (BUSY,), ("Docker hangs",)),
    trends=TRENDS,
)
glyphs = st.sampled_from([UTF8, ASCII])


NOTHING_CHOSEN = Controls()


def screen(
    width: int, height: int = 24, views: tuple[HostView, ...] = (HOST,), controls: Controls = NOTHING_CHOSEN
) -> list[str]:
    rows = list_rows(views, controls.sort, controls.wanted)
    lines = screen_lines(views, rows, controls, size=Size(width, height), glyphs=UTF8, clock="12:00:00")
    return [line.plain for line in lines]


def test_eighty_columns_hold_every_figure_against_its_limit() -> None:
    shown = screen(80)
    (line,) = (line for line in shown if line.startswith("  orders-backup"))
    figures = ["1.98/2", "41%", "812M/1.0G", "48M/48M", "12M", "↓3.1M/12M"]
    assert [word for word in line.split() if not set(word) <= set(UTF8.levels)] == ["orders-backup", *figures]
    assert shown[-2].startswith("Docker hangs")
    down = Controls(selected=(HOST.url, "orders-backup"), index=1)
    assert "inside: mariadb-backup 1.21, 4 zstd 0.80" in screen(80, controls=down)[-2]


def test_a_wide_terminal_shows_both_directions_and_what_runs_inside() -> None:
    (line,) = (line for line in screen(160) if line.startswith("  orders-backup"))
    assert "3.1M/12M" in line
    assert "100/12M" in line
    assert "mariadb-backup 1.21, 4 zstd 0.80" in line
    assert "▁▅█" in line


def test_a_silent_host_says_why_in_its_own_row() -> None:
    silent = HostView("dr-host-02", "http://h", None, "no answer within 4 s", 34.0)
    never = HostView("dr-host-03", "http://i", None, "connection refused")
    shown = screen(80, views=(HOST, silent, never))
    assert "dr-host-02  no answer within 4 s; last answer 34 s ago" in shown[2]
    assert "dr-host-03  connection refused; never answered" in shown[3]
    assert "3 hosts, 2 without answer, 1 container" in shown[0]
    assert screen(80, views=(HostView("new", "http://j", None),))[2].strip() == "new  asking"


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=50)
uses = st.builds(Use, st.none() | st.floats(0, 1e15), st.none() | st.floats(0, 1e15))
figures = st.builds(
    Figures,
    cpu=uses,
    memory=uses,
    read=uses,
    write=uses,
    received=uses,
    sent=uses,
    throttled=st.none() | st.floats(0, 1),
)
containers = st.builds(
    ContainerRow, names, names, figures, st.tuples(st.builds(Group, names, st.integers(0), st.none()))
)
hosts = st.builds(
    HostView,
    names,
    names,
    st.none() | st.builds(HostRow, names, figures, st.lists(containers, max_size=3).map(tuple), st.tuples(names)),
    st.just("") | names,
    st.none() | st.floats(0, 1e6),
)


@given(st.lists(hosts, max_size=4), st.integers(1, 250), st.integers(1, 40), glyphs, st.none() | names)
def test_every_line_fits_the_screen_and_carries_no_control_characters(
    views: list[HostView], width: int, height: int, used: Glyphs, wanted: str | None
) -> None:
    rows = list_rows(views, Sort.CPU)
    lines = screen_lines(
        views,
        rows,
        Controls(typing=wanted is not None, wanted=wanted or ""),
        size=Size(width, height),
        glyphs=used,
        clock="12:00:00",
    )
    assert len(lines) <= height
    for line in lines:
        assert cell_len(line.plain) == width
        assert line.plain.isprintable()
        assert used is UTF8 or line.plain.isascii()


@given(st.lists(hosts, max_size=4), st.integers(1, 250))
def test_what_is_printed_once_has_no_more_columns_than_there_are(views: list[HostView], width: int) -> None:
    lines = table_once(views, Sort.CPU, "", width=width, glyphs=UTF8)
    assert len(lines) == 2 + len(list_rows(views, Sort.CPU))
    assert all(cell_len(line.plain) <= width for line in lines)


def test_a_small_screen_keeps_the_table_and_gives_up_the_rest() -> None:
    fleet = tuple(replace(HOST, url=f"http://{number}") for number in range(5))
    assert len(screen(80, height=6, views=fleet)) == 6
    assert "q quit" not in "\n".join(screen(80, height=6, views=fleet))
    assert "q quit" in screen(80, height=8, views=fleet)[-1]


@given(st.floats(0, 2**59))
def test_an_amount_takes_four_characters_and_is_right_to_two_digits(value: float) -> None:
    text = amount(value)
    assert len(text) <= 4
    match = re.fullmatch(r"([\d.]+)([KMGTP]?)", text)
    assert match
    shown = float(match[1]) * 1024 ** " KMGTP".index(match[2] or " ")
    assert shown == pytest.approx(value, rel=0.06, abs=0.5)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0, "0"), (999, "999"), (1000, "1.0K"), (9.9 * MIB, "9.9M"), (10 * MIB, "10M"), (1023 * MIB, "1.0G")],
)
def test_amounts(value: float | None, text: str) -> None:
    assert amount(value) == text


def test_figures_are_as_short_as_they_can_be() -> None:
    assert [cores(value) for value in (None, 0.0, 1.984, 9.999, 15.94, 99.96)] == [
        *("-", "0.00", "1.98", "10.0", "15.9", "100"),
    ]
    assert [whole_cores(value) for value in (2.0, 0.5, 1.25, 16.0, 128.0)] == ["2", "0.5", "1.25", "16", "128"]
    assert [percent(value) for value in (None, 0.0, 0.414, 1.0)] == ["", "0%", "41%", "100%"]
    assert [duration(value) for value in (3.4, 99.0, 240.0, 7200.0)] == ["3 s", "99 s", "4 min", "2 h"]


def test_sparklines_are_scaled_by_the_limit_or_by_the_highest_value() -> None:
    assert sparkline((0.0, 0.5, 1.0), 5, UTF8, top=1.0) == "  ▁▅█"
    assert sparkline((0.0, 2.0, 4.0), 3, ASCII) == "_=#"
    assert sparkline((0.0, None, 2.0, 9.0), 3, UTF8, top=1.0) == " ██"
    assert sparkline((0.0, 0.0), 2, UTF8) == "▁▁"
    assert sparkline((), 2, UTF8) == "  "
