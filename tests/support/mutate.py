"""Torn and hostile versions of a recorded file, from a seed: the same seed gives the same versions.

Lossy versions only lose or repeat what stood there, so what a reader still finds in them must be true. Hostile ones
hold things that no kernel writes: a reader may find anything in them, but must neither fail nor run away.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

_NUMBER = re.compile(rb"[0-9]+")
_LONG = 200_000
_HUGE = (b"9" * 19, b"18446744073709551615", b"9" * 21, b"9" * 400, b"9" * 5000, b"0" * 5000)
_ODD = (
    b"-1",
    b"-0",
    b"+5",
    b"1e3",
    b"1e999",
    b"nan",
    b"inf",
    b"0x10",
    b"1_000",
    b"",
    b" ",
    b"\xd9\xa3",
    b"\xb2",
    b"3.5",
)
_SEPARATORS = (b" ", b"\t", b"\n", b":", b"=", b",", b"(", b")", b"\r\n", b"\x0b", b"\xc2\xa0", b"\\", b'"')


@dataclass(frozen=True, slots=True)
class Mutation:
    """One version of a file.

    Attributes:
        kind: what was done to it, for the message of a failed test.
        mid_line: it ends within a line.
    """

    kind: str
    data: bytes
    mid_line: bool = False


def lossy(data: bytes, random: Random) -> Mutation:
    """A version that lacks or repeats something, and says nothing new."""
    kind = random.choice(tuple(_LOSSY))
    changed = _LOSSY[kind](data, random)
    return Mutation(kind, changed, mid_line=bool(changed) and not changed.endswith(b"\n"))


def cut(data: bytes, random: Random) -> Mutation:
    """A version that lacks its end, of a file that has no lines."""
    kind = random.choice(("truncated", "truncated late", "empty"))
    return Mutation(kind, _LOSSY[kind](data, random))


def hostile(data: bytes, random: Random) -> Mutation:
    """A version that no kernel writes."""
    kind = random.choice(tuple(_HOSTILE))
    return Mutation(kind, _HOSTILE[kind](data, random))


def _truncated(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _truncated_late(data: bytes, random: Random) -> bytes:
    """Within the last words, where a shorter number looks most like a whole one."""
    return data[: max(len(data) - random.randrange(1, 24), 0)]


def _without_lines(data: bytes, random: Random) -> bytes:
    share = random.random()
    return b"".join(line for line in data.splitlines(keepends=True) if random.random() > share)


def _without_one_line(data: bytes, random: Random) -> bytes:
    lines = data.splitlines(keepends=True)
    if lines:
        lines.pop(random.randrange(len(lines)))
    return b"".join(lines)


def _with_line_twice(data: bytes, random: Random) -> bytes:
    lines = data.splitlines(keepends=True)
    if lines:
        lines.insert(random.randrange(len(lines) + 1), random.choice(lines))
    return b"".join(lines)


def _with_lines_swapped(data: bytes, random: Random) -> bytes:
    lines = data.splitlines(keepends=True)
    if lines:
        first, second = random.randrange(len(lines)), random.randrange(len(lines))
        lines[first], lines[second] = lines[second], lines[first]
    return b"".join(lines)


def _with_number(choices: tuple[bytes, ...]) -> Callable[[bytes, Random], bytes]:
    def change(data: bytes, random: Random) -> bytes:
        numbers = list(_NUMBER.finditer(data))
        if not numbers:
            return random.choice(choices) + b"\n"
        at = random.choice(numbers)
        return data[: at.start()] + random.choice(choices) + data[at.end() :]

    return change


def _with_bytes(choices: Callable[[Random], bytes]) -> Callable[[bytes, Random], bytes]:
    def change(data: bytes, random: Random) -> bytes:
        at = random.randrange(len(data) + 1)
        return data[:at] + choices(random) + data[at + random.randrange(2) :]

    return change


def _with_wrong_separator(data: bytes, random: Random) -> bytes:
    places = [at for at, byte in enumerate(data) if byte in b" \t\n:=,()"]
    if not places:
        return data + random.choice(_SEPARATORS)
    at = random.choice(places)
    return data[:at] + random.choice(_SEPARATORS) + data[at + 1 :]


def _with_long_line(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.choice((b"x", b"7", b" ", b"\0", b"1 ", b"[")) * _LONG + data[at:]


def _noise(_: bytes, random: Random) -> bytes:
    return random.randbytes(random.randrange(300))


_LOSSY: dict[str, Callable[[bytes, Random], bytes]] = {
    "truncated": _truncated,
    "truncated late": _truncated_late,
    "lines dropped": _without_lines,
    "one line dropped": _without_one_line,
    "line twice": _with_line_twice,
    "lines swapped": _with_lines_swapped,
    "last newline missing": lambda data, _: data.removesuffix(b"\n"),
    "empty": lambda _, __: b"",
}

_HOSTILE: dict[str, Callable[[bytes, Random], bytes]] = {
    "huge number": _with_number(_HUGE),
    "odd number": _with_number(_ODD),
    "NUL bytes": _with_bytes(lambda random: b"\0" * random.randrange(1, 9)),
    "not UTF-8": _with_bytes(lambda random: random.randbytes(1) + b"\xff\xfe"),
    "wrong separator": _with_wrong_separator,
    "noise": _noise,
    # Rare: each is as dear as a hundred others.
    "long line": lambda data, random: _with_long_line(data, random) if random.random() < 0.02 else _noise(data, random),
}
