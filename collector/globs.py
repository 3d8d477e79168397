"""Wildcards of the configuration, as telegraf has them: `*`, `?`, `[a-z]`, `[!a-z]`, `{one,other}`.

`*` stands for any characters at all: telegraf's filters know no separator. `[*]` is a plain asterisk.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import AfterValidator

_ALTERNATIVES = re.compile(r"\{([^{}]*)\}")
_REMEMBERED = 4096  # names of one pattern list; there are far fewer, but tags can be anything


def check_glob(pattern: str) -> str:
    """The pattern itself.

    Raises:
        ValueError: it is empty, or its braces or brackets don't close.
    """
    if not pattern:
        raise ValueError("an empty pattern matches nothing; leave it out")
    if any("{" in part or "}" in part for part in _expand(pattern)):
        raise ValueError("braces don't close; write for example {cpu,mem}")
    if re.search(r"\[!?\]?[^\]]*$", pattern):
        raise ValueError("a bracket doesn't close; write for example [a-z]")
    return pattern


Glob = Annotated[str, AfterValidator(check_glob)]


class Matcher(dict[str, bool]):
    """Whether a text matches one of the patterns, looked up as in a dictionary: each text is matched only once."""

    def __init__(self, patterns: Iterable[str]) -> None:
        super().__init__()
        parts = [part for pattern in patterns for part in _expand(pattern)]
        self._matches = re.compile("|".join(map(fnmatch.translate, parts))).match

    def __missing__(self, text: str) -> bool:
        if len(self) >= _REMEMBERED:
            self.clear()
        found = self[text] = self._matches(text) is not None
        return found


def _expand(pattern: str) -> Iterator[str]:
    """The patterns without braces that this one stands for; the innermost braces first."""
    found = _ALTERNATIVES.search(pattern)
    if found is None:
        yield pattern
        return
    for choice in found.group(1).split(","):
        yield from _expand(pattern[: found.start()] + choice + pattern[found.end() :])
