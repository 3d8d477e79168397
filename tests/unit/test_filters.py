"""Filters of outputs against telegraf's words, and against a plain implementation of them."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from collector.filters import FilterSettings, compile_filter
from collector.globs import Matcher, check_glob
from collector.projections.point import Point

CPU0 = Point("cpu", (("cpu", "cpu0"), ("host", "dr-01")), {"usage_idle": 90.0, "usage_user": 1.0}, 1)
CPU1 = Point("cpu", (("cpu", "cpu1"), ("host", "dr-01")), {"usage_idle": 80.0}, 1)
MEM = Point("mem", (("host", "dr-01"),), {"total": 8, "free": 2}, 1)
DISK = Point("disk", (("host", "dr-01"), ("path", "/srv")), {"total": 100, "free": 20}, 1)
POINTS = [CPU0, CPU1, MEM, DISK]


def filtered(points: list[Point], **settings: object) -> list[Point]:
    compiled = compile_filter(TypeAdapter(FilterSettings).validate_python(settings))
    assert compiled is not None
    return compiled(points)


def test_settings_that_filter_nothing_cost_nothing() -> None:
    assert compile_filter(FilterSettings()) is None


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        ({"namepass": ["cpu"]}, [CPU0, CPU1]),
        ({"namepass": ["{cpu,mem}"]}, [CPU0, CPU1, MEM]),
        ({"namedrop": ["c*", "d?sk"]}, [MEM]),
        ({"namepass": ["*"], "namedrop": ["[!c]*"]}, [CPU0, CPU1]),
        ({"tagpass": {"cpu": ["cpu0"]}}, [CPU0]),
        ({"tagpass": {"cpu": ["cpu0"], "path": ["/srv*"]}}, [CPU0, DISK]),
        ({"tagdrop": {"cpu": ["cpu0"], "path": ["*"]}}, [CPU1, MEM]),
        ({"tagpass": {"cpu": ["*"]}, "tagdrop": {"cpu": ["cpu1"]}}, [CPU0]),
        ({"namepass": ["mem"], "tagpass": {"cpu": ["*"]}}, []),
    ],
)
def test_points_are_chosen_by_name_and_tags(settings: dict[str, object], left: list[Point]) -> None:
    assert filtered(POINTS, **settings) == left


def test_fields_are_trimmed_and_points_without_any_are_dropped() -> None:
    assert filtered(POINTS, fieldinclude=["usage_*"], fieldexclude=["usage_idle"]) == [
        Point("cpu", CPU0.tags, {"usage_user": 1.0}, 1)
    ]


def test_tags_are_trimmed_after_they_were_asked() -> None:
    left = filtered(POINTS, tagpass={"cpu": ["cpu0"]}, tagexclude=["cpu"])
    assert left == [Point("cpu", (("host", "dr-01"),), CPU0.fields, 1)]
    assert filtered([DISK], taginclude=["p*"]) == [Point("disk", (("path", "/srv"),), DISK.fields, 1)]


def test_a_filter_keeps_what_it_knows_of_the_last_collection_only() -> None:
    compiled = compile_filter(FilterSettings(tagdrop={"cpu": ("cpu1",)}))
    assert compiled is not None
    assert compiled(POINTS) == [CPU0, MEM, DISK]
    assert compiled([CPU1]) == []
    assert compiled(POINTS) == [CPU0, MEM, DISK]


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("a{b,c{d,e}}*", "acexx", True),
        ("a{b,c{d,e}}*", "acfxx", False),
        ("{a,}b", "b", True),
        ("[*]", "*", True),
        ("[*]", "a", False),
        ("CPU", "cpu", False),
        ("a.b", "axb", False),
        ("*", "with\nnewline/and slash", True),
    ],
)
def test_wildcards(pattern: str, text: str, *, matches: bool) -> None:
    assert Matcher([check_glob(pattern)])[text] is matches


def test_what_a_matcher_remembers_is_bounded() -> None:
    matcher = Matcher(["a*"])
    assert all(matcher[f"a{number}"] for number in range(10_000))
    assert len(matcher) < 5000


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"namepass": ["{a"]}, "braces"),
        ({"namepass": ["a}"]}, "braces"),
        ({"tagpass": {"cpu": ["[a"]}}, "bracket"),
        ({"fieldinclude": [""]}, "empty pattern"),
        ({"tagdrop": {"cpu": []}}, "no pattern"),
    ],
)
def test_a_bad_pattern_is_refused_with_its_place(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TypeAdapter(FilterSettings).validate_python(settings)


WORDS = st.sampled_from(["a", "b", "ab", "abc", "c"])
PATTERNS = st.lists(st.sampled_from(["a", "b*", "*c", "?b", "[ab]", "[!a]*", "*"]), max_size=2).map(tuple)
TAG_PATTERNS = st.dictionaries(
    WORDS, st.lists(st.sampled_from(["a", "*b", "?"]), min_size=1, max_size=2).map(tuple), max_size=2
)
SETTINGS = st.builds(
    FilterSettings,
    namepass=PATTERNS,
    namedrop=PATTERNS,
    tagpass=TAG_PATTERNS,
    tagdrop=TAG_PATTERNS,
    fieldinclude=PATTERNS,
    fieldexclude=PATTERNS,
    taginclude=PATTERNS,
    tagexclude=PATTERNS,
)
POINT = st.builds(
    Point,
    WORDS,
    st.dictionaries(WORDS, WORDS, max_size=3).map(lambda tags: tuple(sorted(tags.items()))),
    st.dictionaries(WORDS, st.integers(), min_size=1, max_size=3),
    st.just(1),
)


def fits(text: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def plainly(settings: FilterSettings, point: Point) -> Point | None:
    """What telegraf's page says, word by word."""
    if settings.namepass and not fits(point.measurement, settings.namepass):
        return None
    if fits(point.measurement, settings.namedrop):
        return None
    tags = dict(point.tags)
    if settings.tagpass and not any(fits(tags[tag], globs) for tag, globs in settings.tagpass.items() if tag in tags):
        return None
    if any(fits(tags[tag], globs) for tag, globs in settings.tagdrop.items() if tag in tags):
        return None
    fields = {
        name: value
        for name, value in point.fields.items()
        if (not settings.fieldinclude or fits(name, settings.fieldinclude)) and not fits(name, settings.fieldexclude)
    }
    kept = tuple(
        (name, value)
        for name, value in point.tags
        if (not settings.taginclude or fits(name, settings.taginclude)) and not fits(name, settings.tagexclude)
    )
    return Point(point.measurement, kept, fields, point.timestamp_ns) if fields else None


@given(SETTINGS, st.lists(st.lists(POINT, max_size=4), max_size=3))
def test_it_does_what_the_plain_implementation_does(settings: FilterSettings, collections: list[list[Point]]) -> None:
    compiled = compile_filter(settings) or list
    for points in collections:
        expected = [kept for kept in (plainly(settings, point) for point in points) if kept]
        assert compiled(points) == expected
