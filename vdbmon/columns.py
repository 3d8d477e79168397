"""Text in columns that is never cut or folded: an id can be copied, and a row is one line for grep(1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import typer

_GAP = "  "


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The head and the rows, each column as wide as its widest text; the last one as it comes."""
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    for row in (head, *rows):
        yield _GAP.join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def say(lines: Iterable[str]) -> None:
    """Print lines; what a container wrote into them can't steer the terminal."""
    for line in lines:
        typer.echo("".join(character if character.isprintable() else "?" for character in line))
