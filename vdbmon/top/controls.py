"""What the keys do: from one state of the screen to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vdbmon.top.fleet import Key
from vdbmon.top.listing import Row, Sort, first_shown, selected_index

_SORT_KEYS = {"c": Sort.CPU, "m": Sort.MEMORY, "r": Sort.READ, "w": Sort.WRITE, "n": Sort.NETWORK}
_ESCAPE = "\x1b"
_NAMED = {
    "[A": "up",
    "OA": "up",
    "[B": "down",
    "OB": "down",
    "[5~": "page up",
    "[6~": "page down",
    "[H": "home",
    "[1~": "home",
    "OH": "home",
    "[F": "end",
    "[4~": "end",
    "OF": "end",
}  # what terminals send behind an escape character (xterm's ctlseqs, vt220)
_ENTER, _ERASE = frozenset("\r\n"), frozenset("\x7f\b")


@dataclass(frozen=True, slots=True)
class Controls:
    """What the user has chosen.

    Attributes:
        wanted: the filter.
        typing: whether keys go into the filter.
        selected: the selected row; it keeps being selected wherever it goes.
        index: where it was last.
        first: the first row on the screen.
        done: whether it is to end.
    """

    sort: Sort = Sort.CPU
    wanted: str = ""
    typing: bool = False
    selected: Key | None = None
    index: int = 0
    first: int = 0
    done: bool = False


def split_keys(text: str) -> list[str]:
    """Single keys out of what was typed: characters, and words for those that move; unknown sequences are dropped."""
    keys: list[str] = []
    while text:
        if text[0] != _ESCAPE or len(text) == 1:
            keys.append("escape" if text[0] == _ESCAPE else text[0])
            text = text[1:]
            continue
        sequence, text = _sequence(text[1:])
        if sequence in _NAMED:
            keys.append(_NAMED[sequence])
    return keys


def _sequence(text: str) -> tuple[str, str]:
    """A control sequence without its escape character, and what stands behind it (ECMA-48, 5.4)."""
    if text[0] not in "[O":
        return text[0], text[1:]
    end = next((number for number, sign in enumerate(text[1:], 1) if "@" <= sign <= "~"), len(text) - 1)
    return text[: end + 1], text[end + 1 :]


def pressed(controls: Controls, key: str, rows: Sequence[Row], room: int) -> Controls:
    """The state after a key; `rows` are those of the list, `room` how many of them the screen shows."""
    if controls.typing:
        return _typed(controls, key)
    if key in _SORT_KEYS:
        return replace(controls, sort=_SORT_KEYS[key])
    if key == "q":
        return replace(controls, done=True)
    if key == "/":
        return replace(controls, typing=True)
    if key == "escape":
        return replace(controls, wanted="")
    steps = {"up": -1, "down": 1, "page up": -room, "page down": room, "home": -len(rows), "end": len(rows)}
    if key not in steps or not rows:
        return controls
    index = min(max(controls.index + steps[key], 0), len(rows) - 1)
    return replace(controls, selected=rows[index].key, index=index)


def _typed(controls: Controls, key: str) -> Controls:
    if key == "escape":
        return replace(controls, typing=False, wanted="")
    if key in _ENTER:
        return replace(controls, typing=False)
    if key in _ERASE:
        return replace(controls, wanted=controls.wanted[:-1])
    if len(key) == 1 and key.isprintable():
        return replace(controls, wanted=controls.wanted + key)
    return controls


def settled(controls: Controls, rows: Sequence[Row], room: int) -> Controls:
    """The state when the list or the screen has changed: the selected row is on the screen, wherever it went."""
    index = selected_index(rows, controls.selected, controls.index)
    selected = rows[index].key if rows and controls.selected is not None else controls.selected
    return replace(controls, index=index, selected=selected, first=first_shown(index, controls.first, room, len(rows)))
