import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.influx_lines import parse_line
from collector.projections.line_protocol import encode
from collector.projections.point import Point

# What our own encoder can't give back: trailing backslashes are left out, line ends are spelled out.
_CHARACTERS = st.characters(exclude_categories=["Cs", "Cc"])
_TEXT = st.text(st.one_of(st.sampled_from('\\,= "'), _CHARACTERS), min_size=1, max_size=8).filter(
    lambda text: not text.endswith("\\")
)
_NAME = st.text(_CHARACTERS.filter(lambda character: character != "\\"), min_size=1, max_size=8)
_FLOATS = st.floats(allow_nan=False, allow_infinity=False)
_STRINGS = st.text(_CHARACTERS, max_size=8)
_VALUES = st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), _FLOATS, _STRINGS)


@given(
    _NAME.filter(lambda text: text[0] != "#"),
    st.dictionaries(_TEXT, _TEXT, max_size=3),
    st.dictionaries(_TEXT, _VALUES, min_size=1, max_size=3),
    st.integers(0, 2**62),
)
def test_what_our_encoder_writes_comes_back(
    measurement: str, tags: dict[str, str], fields: dict[str, int | float | str | bool], time: int
) -> None:
    point = Point(measurement, tuple(sorted(tags.items())), fields, time)
    (line,) = encode([point])
    assert parse_line(line.decode()) == point


@pytest.mark.parametrize(
    ("line", "point"),
    [
        ("m f=1", Point("m", (), {"f": 1.0}, 0)),
        ("m,a=b f=1i,g=2u,h=-1.5e3 17", Point("m", (("a", "b"),), {"f": 1, "g": 2, "h": -1500.0}, 17)),
        ("m  f=t  ", Point("m", (), {"f": True}, 0)),
        ('m f="a, b=c \\" \\\\ d",g=F', Point("m", (), {"f": 'a, b=c " \\ d', "g": False}, 0)),
        (r"disk\ io,path=C:\dir\ x f=1", Point("disk io", (("path", r"C:\dir x"),), {"f": 1.0}, 0)),
        (r"m,a\,b=c\=d e\ f=1", Point("m", (("a,b", "c=d"),), {"e f": 1.0}, 0)),
    ],
)
def test_lines_of_telegraf_are_read(line: str, point: Point) -> None:
    assert parse_line(line) == point


@pytest.mark.parametrize(
    "line",
    [
        *("", " ", "m", "m ", "m f", "m f=", "m f=x", "m f=1 x", "m f=1, 5", "m f=1,,g=2", "m,a f=1", "m,a= f=1"),
        *(",a=b f=1", "m,=b f=1", 'm f="a', 'm f="a"b', "m f=1i5", "m f=--1", "m f=1 2 3", "m f=0x10", "m f=1_0"),
        *("m f=nan", "m f=inf", "m f=\u0661", "m f=1 \u0661", "m\\"),
    ],
)
def test_other_lines_are_none(line: str) -> None:
    assert parse_line(line) is None


@given(st.one_of(st.text(max_size=100), st.text(st.sampled_from('m,=\\ "1i.-t\n\x00'), max_size=100)))
def test_hostile_lines_raise_nothing(line: str) -> None:
    point = parse_line(line)
    assert point is None or not any(isinstance(value, float) and math.isnan(value) for value in point.fields.values())


@pytest.mark.parametrize(
    "line",
    [
        "a b=" + "9" * 60_000 + "x",
        "a b=" + "9" * 60_000 + ".",
        "a" * 60_000,
        "a," + "b=c," * 15_000,
        "a " + 'b="\\' * 10_000,
        "a b=1" + " " * 60_000 + "x",
        "a" + "\\" * 60_000,
    ],
    ids=["digits", "digits and a point", "name", "tags", "quotes", "blanks", "backslashes"],
)
def test_a_long_line_takes_no_time_beyond_its_length(line: str) -> None:
    began = time.process_time()
    parse_line(line)
    assert time.process_time() - began < 1.0
