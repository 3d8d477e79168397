"""Which rows there are, in which order, and which of them is on the screen."""

import string
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from vdbmon.top.controls import Controls, pressed, settled, split_keys
from vdbmon.top.fleet import HostView
from vdbmon.top.listing import Sort, first_shown, list_rows
from vdbmon.top.rows import ContainerRow, Figures, Group, HostRow, Use

NONE = Figures()


def container(name: str, cpu: float = 0.0, figures: Figures = NONE) -> ContainerRow:
    return ContainerRow(name, f"{name}:1", replace(figures, cpu=Use(cpu)), (Group("zstd", 1, cpu),))


def host(name: str, *containers: ContainerRow, cpu: float = 0.0, problem: str = "") -> HostView:
    row = None if problem else HostRow(name, Figures(cpu=Use(cpu)), containers)
    return HostView(name, f"http://{name}/metrics", row, problem)


FLEET = (
    host("calm", container("a", 0.1), container("b", 0.2), cpu=0.3),
    host("gone", problem="connection refused"),
    host("busy", container("c", 1.0, Figures(memory=Use(1))), container("d", 3.0), cpu=4.0),
)


def names(sort: Sort = Sort.CPU, wanted: str = "") -> list[str]:
    return [row.container.name if row.container else row.host.name for row in list_rows(FLEET, sort, wanted)]


def test_silent_hosts_come_first_and_the_busiest_next_with_its_busiest_container() -> None:
    assert names() == ["gone", "busy", "d", "c", "calm", "b", "a"]
    assert names(Sort.MEMORY) == ["gone", "busy", "c", "d", "calm", "a", "b"]


def test_network_counts_both_ways() -> None:
    one = container("one", figures=Figures(received=Use(5.0), sent=Use(1.0)))
    other = container("other", figures=Figures(received=Use(0.0), sent=Use(5.5)))
    rows = list_rows([host("h", other, one)], Sort.NETWORK)
    assert [row.container.name for row in rows if row.container] == ["one", "other"]


def test_a_filter_keeps_a_host_with_what_fits() -> None:
    assert names(wanted="D:") == ["busy", "d"]
    assert names(wanted="calm") == ["calm", "b", "a"]
    assert names(wanted="gone") == ["gone"]
    assert names(wanted="B:1") == ["calm", "b"]
    assert names(wanted="zstd") == ["busy", "d", "c", "calm", "b", "a"]
    assert names(wanted="nothing of that") == []


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 20), st.integers(1, 51))
def test_the_selected_row_is_always_on_the_screen(index: int, first: int, room: int, total: int) -> None:
    index = min(index, total - 1)
    now = first_shown(index, first, room, total)
    assert 0 <= now <= index < now + room
    assert now == 0 or now + room <= total


def press(controls: Controls, *keys: str, room: int = 2) -> Controls:
    for key in keys:
        rows = list_rows(FLEET, controls.sort, controls.wanted)
        controls = settled(pressed(controls, key, rows, room), list_rows(FLEET, controls.sort, controls.wanted), room)
    return controls


def selected(controls: Controls) -> str:
    row = list_rows(FLEET, controls.sort, controls.wanted)[controls.index]
    return row.container.name if row.container else row.host.name


def test_arrows_move_the_selection_and_stop_at_the_ends() -> None:
    assert selected(press(Controls(), "up")) == "gone"
    assert selected(press(Controls(), "down", "down")) == "d"
    assert selected(press(Controls(), "end")) == "a"
    assert selected(press(Controls(), "end", "down", "page up", room=3)) == "c"
    assert selected(press(Controls(), "end", "home")) == "gone"


def test_a_selected_row_stays_selected_wherever_it_goes() -> None:
    controls = press(Controls(), "down", "down", "down")
    assert selected(controls) == "c"
    assert selected(press(controls, "m", "home", "end", "up")) == "a"
    resorted = settled(pressed(controls, "m", (), 2), list_rows(FLEET, Sort.MEMORY), 2)
    assert resorted.selected == controls.selected
    assert selected(resorted) == "c"


def test_what_takes_the_place_of_a_row_that_is_gone_is_selected() -> None:
    controls = press(Controls(), "end")
    fewer = list_rows(FLEET[:2], Sort.CPU)
    after = settled(controls, fewer, 2)
    assert fewer[after.index].key == after.selected
    nothing = settled(controls, (), 2)
    assert (nothing.index, nothing.first) == (0, 0)


def test_keys_sort_filter_and_end() -> None:
    assert [press(Controls(), key).sort for key in "cmrwn"] == list(Sort)
    assert press(Controls(), "/", "b", "q", "\x7f", "\r", "down").wanted == "b"
    assert press(Controls(), "/", "b", "escape") == Controls()
    assert press(Controls(wanted="b"), "escape").wanted == ""
    assert press(Controls(), "q").done
    assert not press(Controls(), "/", "q").done
    assert press(Controls(), "x", "\t", "é") == Controls()


def test_keys_come_out_of_what_a_terminal_sends() -> None:
    assert split_keys("q\x1b[Ac\x1bOB\x1b[6~/") == ["q", "up", "c", "down", "page down", "/"]
    assert split_keys("\x1b") == ["escape"]
    assert split_keys("\x1b[1;5Cm\x1bx") == ["m"]


@given(st.text(alphabet=f"\x1b[O;~{string.ascii_letters}{string.digits}\r\x7f"))
def test_no_keys_are_an_error(typed: str) -> None:
    press(Controls(), *split_keys(typed))
