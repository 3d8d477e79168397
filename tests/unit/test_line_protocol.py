import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from influxdb_client.client.write.point import Point as ReferencePoint

from collector.projections.line_protocol import encode
from collector.projections.point import FieldValue, Point

_CHARACTERS = st.characters(exclude_categories=["Cs", "Cc"])
_TEXT = st.text(st.one_of(st.sampled_from('\\,= "'), _CHARACTERS), max_size=8)
_PLAIN = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\\"), min_size=1, max_size=8)
_NUMBERS = st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats())

NOW = 1_700_000_000_123_456_789

# VictoriaMetrics' reading: a backslash before one of these stands for it alone, before others for itself.
_ESCAPED = re.compile(r"\\([,= \\])")


def lines(*points: Point) -> list[str]:
    return [line.decode() for line in encode(points)]


def unescaped_split(text: str, separator: str) -> list[str]:
    return re.findall(rf"(?:\\.|[^{separator}\\]|\\$)+", text)


def tags_of(line: str) -> dict[str, str]:
    series = unescaped_split(line, " ")[0]
    pairs = [unescaped_split(pair, "=") for pair in unescaped_split(series, ",")[1:]]
    return {_ESCAPED.sub(r"\1", name): _ESCAPED.sub(r"\1", value) for name, value in pairs}


@given(st.dictionaries(_TEXT.filter(lambda text: text.strip("\\")), _TEXT, max_size=4))
def test_tags_come_back(tags: dict[str, str]) -> None:
    kept = {name.rstrip("\\"): value.rstrip("\\") for name, value in tags.items()}
    line = lines(Point("m", tuple(tags.items()), {"f": 1}, 5))[0]
    assert tags_of(line) == {name: value for name, value in kept.items() if value}


# A line that begins with # is a comment; measurements are names of ours.
@given(_PLAIN.filter(lambda text: text[0] != "#"), _PLAIN, _PLAIN, _PLAIN, _NUMBERS)
def test_the_line_is_the_one_that_influxdb_client_writes(
    measurement: str, tag: str, value: str, field: str, number: FieldValue
) -> None:
    expected = reference_line(measurement, tag, value, field, number)
    found = lines(Point(measurement, ((tag, value),), {field: number}, NOW))
    if isinstance(number, float):
        found = [without_spare_zero(line) for line in found]
    assert found == ([expected] if expected else [])


def reference_line(measurement: str, tag: str, value: str, field: str, number: FieldValue) -> str:
    point: Any = ReferencePoint
    return str(point(measurement).tag(tag, value).field(field, number).time(NOW).to_line_protocol())


def without_spare_zero(line: str) -> str:
    """influxdb_client writes the float 1.0 as 1."""
    return re.sub(r"\.0 (\d+)$", r" \1", line)


def test_numbers_that_line_protocol_cannot_carry_are_left_out() -> None:
    fields = {"a": math.nan, "b": math.inf, "c": 1.5, "d": -math.inf}
    assert lines(Point("m", (), fields, 5)) == ["m c=1.5 5"]
    assert lines(Point("m", (), {"a": math.nan}, 5)) == []


def test_a_counter_beyond_64_bits_is_sent_as_the_largest_number() -> None:
    assert lines(Point("m", (), {"a": 2**64 - 1}, 5)) == ["m a=9223372036854775807i 5"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\nb", r"a\nb"),
        (r"C:\backup", r"C:\backup"),
        (r"a\,b", r"a\\\,b"),
        ("ends\\", "ends"),
        (b"/mnt/\xff".decode("utf-8", "surrogateescape"), r"/mnt/\udcff"),
    ],
)
def test_hostile_tags_stay_on_their_line(value: str, text: str) -> None:
    assert lines(Point("m", (("path", value), ("z", "1")), {"f": True}, 5)) == [f"m,path={text},z=1 f=true 5"]


def test_strings_are_quoted() -> None:
    assert lines(Point("m", (), {"f": 'a "b" \\ c'}, 5)) == [r'm f="a \"b\" \\ c" 5']


def test_a_string_with_line_ends_stays_on_its_line() -> None:
    assert lines(Point("m", (), {"s": 'a\nb\r"c"\\'}, 5)) == [r'm s="a\nb\r\"c\"\\" 5']
