"""Prometheus text as others write it (format 0.0.4), read line by line so that a bad line costs only itself.

prometheus_client's parser gives up a whole text at its first bad line, so it is given one line at a time. It is laxer
than Prometheus (it reads `inf` as the value of `in`), so a line must have the right shape first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_LINE = re.compile(rf"({_NAME})(?:[ \t]*\{{.*\}})?[ \t]+[^ \t]+(?:[ \t]+-?[0-9]+)?")
_TYPE = re.compile(rf"#[ \t]+TYPE[ \t]+({_NAME})[ \t]+([a-z]+)")
_LONGEST = 4096  # characters; the library's time grows with the square of them


@dataclass(frozen=True, slots=True)
class Row:
    """One value. A time that stands behind it is not kept: a series ends with its source, not by its age."""

    name: str
    labels: Mapping[str, str]
    value: float


def complete_text_lines(text: str) -> tuple[list[str], int]:
    """The lines that say something, comments included, and how many were torn: the last one without its newline."""
    *lines, torn = text.split("\n")
    return [stripped for line in lines if (stripped := line.strip())], int(bool(torn.strip()))


def parse_counter_types(lines: list[str]) -> Iterator[str]:
    """The names that comments declare to be counters."""
    for line in lines:
        match = _TYPE.fullmatch(line)
        if match is not None and match[2] == "counter":
            yield match[1]


def name_of(line: str) -> str | None:
    """The name of the value on a line; None if the line is not of the format, or too long to be meant well."""
    match = _LINE.fullmatch(line) if len(line) <= _LONGEST else None
    return match[1] if match else None


def parse_line(line: str) -> Row | None:
    """The value on a line; None if there is none that can be understood."""
    name = name_of(line)
    if name is None:
        return None
    try:
        samples = [sample for family in text_string_to_metric_families(line) for sample in family.samples]
        value = float(samples[0].value)
    except (ValueError, LookupError, OverflowError):
        return None
    row = Row(name, samples[0].labels, value)
    return row if samples[0].name == name and all(map(_LABEL.fullmatch, row.labels)) else None
