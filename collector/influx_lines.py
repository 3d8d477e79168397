r"""InfluxDB line protocol as others write it, one line at a time.

Source: InfluxDB v2 line protocol reference, read as `collector.projections.line_protocol` writes it: a backslash stands
for the character behind it where that is special (comma, equals sign, space, backslash), else for itself.
"""

from __future__ import annotations

import re

from collector.projections.point import FieldValue, Point

# No two repetitions that could share a character stand side by side: a line of 64 KiB would take minutes.
_WORD = r"(?:\\.|[^,= \\])+"  # a tag's key or value, a field's key
_HEAD = re.compile(rf"((?:\\.|[^, \\])+)((?:,{_WORD}={_WORD})*) +")
_TAG = re.compile(rf",({_WORD})=({_WORD})")
_FIELD = re.compile(rf'({_WORD})=("(?:\\.|[^"\\])*"|[^", ]+)(,?)')
_END = re.compile(r" *(?:(-?[0-9]{1,19}) *)?")
_INTEGER = re.compile(r"(-?[0-9]{1,20})[iu]")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_ESCAPED = re.compile(r"\\([,= \\])")
_ESCAPED_STRING = re.compile(r'\\(["\\])')
_TRUE = frozenset({"t", "T", "true", "True", "TRUE"})
_FALSE = frozenset({"f", "F", "false", "False", "FALSE"})


def parse_line(line: str) -> Point | None:
    """The point on a line; None if the line is not of the format. A line without a time has 0."""
    head = _HEAD.match(line)
    if head is None:
        return None
    fields: dict[str, FieldValue] = {}
    position = head.end()
    more = ","
    while more:
        field = _FIELD.match(line, position)
        value = _value(field[2]) if field else None
        if field is None or value is None:
            return None
        fields[_plain(field[1])] = value
        position, more = field.end(), field[3]
    end = _END.fullmatch(line, position)
    if end is None:
        return None
    tags = sorted((_plain(name), _plain(value)) for name, value in _TAG.findall(head[2]))
    return Point(_plain(head[1]), tuple(tags), fields, int(end[1] or 0))


def _value(text: str) -> FieldValue | None:
    if text.startswith('"'):
        return _ESCAPED_STRING.sub(r"\1", text[1:-1])
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    integer = _INTEGER.fullmatch(text)
    if integer is not None:
        return int(integer[1])
    return float(text) if _FLOAT.fullmatch(text) else None


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text
