"""Characters of the screen: those of UTF-8 terminals, and plain ones for all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size


@dataclass(frozen=True, slots=True)
class Glyphs:
    """What is drawn with.

    Attributes:
        levels: of a sparkline, from the lowest to the highest.
        cut: stands for what had no room.
        received: marks bytes that come in, `sent` those that go out.
        arrows: the keys that move the selection.
    """

    levels: str
    cut: str
    received: str
    sent: str
    arrows: str

    def shown(self, text: str) -> str:
        """A name from outside as it may be written to a terminal: no control characters, and none it can't show."""
        encoding = "utf-8" if self is UTF8 else "ascii"
        visible = "".join(character if character.isprintable() else "?" for character in text)
        return visible.encode(encoding, "replace").decode(encoding)

    def fitted(self, text: str, width: int) -> str:
        """The text in exactly `width` cells of the terminal, cut or filled up."""
        text = self.shown(text)
        if cell_len(text) <= width:
            return set_cell_size(text, width)
        return set_cell_size(text, width - 1) + self.cut if width > 0 else ""


UTF8 = Glyphs(levels="▁▂▃▄▅▆▇█", cut="…", received="↓", sent="↑", arrows="↑↓")
ASCII = Glyphs(levels="_.:-=+*#", cut="~", received="<", sent=">", arrows="arrows")


def sparkline(values: Sequence[float | None], width: int, glyphs: Glyphs, *, top: float | None = None) -> str:
    """The last `width` values, right-aligned; a gap is a blank.

    `top` is the value of the highest level; None for the largest value shown.
    """
    shown = values[-width:] if width > 0 else ()
    highest = top or max((value for value in shown if value is not None), default=0.0)
    return "".join(_level(value, highest, glyphs.levels) for value in shown).rjust(width)


def _level(value: float | None, highest: float, levels: str) -> str:
    if value is None:
        return " "
    step = round(min(max(value / highest, 0.0), 1.0) * (len(levels) - 1)) if highest > 0 else 0
    return levels[step]
