import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.outputs.settings import GraphiteSettings
from collector.projections.graphite import DEFAULT_TEMPLATE, Paths, TaggedPaths, TagSanitizeMode, TemplatePaths, encode
from collector.projections.point import FieldValue, Point

NOW = 1_700_000_000_987_654_321
CPU = Point(
    "docker_container_cpu",
    (("container_image", "reg.example:5000/mariadb"), ("container_name", "dr-1"), ("host", "db.example")),
    {"usage_total": 12, "usage_percent": 1.5},
    NOW,
)
_TEXT = st.text(max_size=12)
_TAGS = st.dictionaries(st.text(min_size=1, max_size=6), _TEXT, max_size=4).map(
    lambda tags: tuple(sorted(tags.items()))
)
_NUMBERS = st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats())
_ALL_PATHS: list[Paths] = [
    TemplatePaths("", DEFAULT_TEMPLATE),
    TemplatePaths("pre.fix", "measurement.tags.field.host"),
    TaggedPaths("", TagSanitizeMode.STRICT),
    TaggedPaths("pre", TagSanitizeMode.COMPATIBLE),
]


def lines(point: Point, paths: Paths) -> list[str]:
    return [line for record in encode([point], paths) for line in record.decode().split("\n")]


def test_the_default_path_is_telegrafs() -> None:
    assert lines(CPU, TemplatePaths("", DEFAULT_TEMPLATE)) == [
        "db_example.reg_example:5000-mariadb.dr-1.docker_container_cpu.usage_total 12 1700000000",
        "db_example.reg_example:5000-mariadb.dr-1.docker_container_cpu.usage_percent 1.5 1700000000",
    ]


def test_a_template_puts_named_tags_where_it_says() -> None:
    paths = TemplatePaths("dr", "measurement.container_name.nothing.field.host")
    assert lines(CPU, paths)[0] == "dr.docker_container_cpu.dr-1.usage_total.db_example 12 1700000000"


def test_tags_are_sorted_and_name_is_graphites_own() -> None:
    point = Point("diskio", (("host", "h"), ("name", "vda")), {"value": 1, "reads": 2}, NOW)
    assert lines(point, TaggedPaths("", TagSanitizeMode.STRICT)) == [
        "diskio;_name=vda;host=h 1 1700000000",
        "diskio.reads;_name=vda;host=h 2 1700000000",
    ]


def test_compatible_tags_keep_what_graphite_allows() -> None:
    point = Point("disk", (("path", "/var/lib/my sql;é"),), {"free": 1}, NOW)
    assert lines(point, TaggedPaths("", TagSanitizeMode.COMPATIBLE)) == [
        "disk.free;path=/var/lib/my_sql_é 1 1700000000"
    ]
    assert lines(point, TaggedPaths("", TagSanitizeMode.STRICT)) == ["disk.free;path=-var-lib-my_sql_é 1 1700000000"]


@pytest.mark.parametrize("value", ["text", math.nan, math.inf, -math.inf])
def test_what_graphite_has_no_form_for_is_left_out(value: FieldValue) -> None:
    paths = TaggedPaths("", TagSanitizeMode.STRICT)
    assert lines(Point("m", (), {"a": value}, NOW), paths) == []
    assert lines(Point("m", (), {"a": value, "b": True}, NOW), paths) == ["m.b 1 1700000000"]


@given(st.text(min_size=1, max_size=12), _TAGS, st.text(min_size=1, max_size=12), _NUMBERS, st.sampled_from(_ALL_PATHS))
def test_carbon_reads_one_value_per_line(
    measurement: str, tags: tuple[tuple[str, str], ...], field: str, number: FieldValue, paths: Paths
) -> None:
    finite = not isinstance(number, float) or math.isfinite(number)
    for line in lines(Point(measurement, tags, {field: number}, NOW), paths):
        path, value, seconds = line.split()  # as carbon's MetricLineReceiver
        assert float(value) == float(number)
        assert seconds == "1700000000"
        assert finite
        name, *pairs = path.split(";")
        assert not re.search(r"^\.|\.\.|\.$|/", name)
        for pair in pairs:  # as carbon's TaggedSeries
            tag, value = pair.split("=", 1)
            assert re.fullmatch(r"[^;!^=]+", tag)
            assert re.fullmatch(r"[^;~][^;]*", value)


def test_a_template_without_a_field_would_write_all_fields_as_one() -> None:
    with pytest.raises(ValueError, match="lacks measurement or field"):
        GraphiteSettings(servers=("localhost",), template="host.measurement")
