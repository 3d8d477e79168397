"""Label values as text that can be sent: what the kernel gives need not be Unicode."""

from __future__ import annotations

from collections.abc import Callable, Mapping


class Replacements(dict[int, str | int | None]):
    """A table for `str.translate`: `given`, and `_` for every other character that `keeps` refuses.

    It learns each character when it is first met, so that long texts are cleaned without a call per character.
    """

    def __init__(self, given: Mapping[int, int | None], keeps: Callable[[str], bool]) -> None:
        super().__init__(given)
        self._keeps = keeps

    def __missing__(self, code: int) -> str:
        character = chr(code)
        self[code] = replacement = character if self._keeps(character) else "_"
        return replacement


def well_formed(text: str) -> str:
    r"""The text with undecodable bytes spelled out (`\udc80`), so that it can be encoded as UTF-8.

    Paths come from the kernel as bytes and Python keeps the undecodable ones as lone surrogates. One such label would
    make Prometheus refuse the whole scrape. Spelled out, two different paths stay different.
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
