import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from collector import catalogue
from collector.metrics import Kind, Sample, counter, gauge, info
from collector.projections.prometheus import Exposition

TEMPERATURE = gauge("room_temperature", 'How warm it is, "inside"\nand \\ outside.', "room", "wall")
VISITS = counter("room_visits_total", "Visits.", "room")
BUILD = info("room_build_info", "Who built it.", "architect")

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_VALUES = st.one_of(st.floats(), st.integers(-(2**70), 2**70))


def parsed(text: bytes) -> list[tuple[str, dict[str, str], float]]:
    return [
        (sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    ]


def same(left: float, right: float) -> bool:
    return left == right or (math.isnan(left) and math.isnan(right))


@given(st.dictionaries(st.tuples(_TEXT, _TEXT), _VALUES), st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_every_label_and_number_comes_back_from_the_reference_parser(
    readings: dict[tuple[str, str], float], host: str
) -> None:
    samples = [TEMPERATURE.sample(value, *labels) for labels, value in readings.items()]
    found = parsed(Exposition(host).render(samples))
    assert len(found) == len(readings)
    for (name, labels, value), ((room, wall), sent) in zip(found, readings.items(), strict=True):
        assert name == "room_temperature"
        assert labels == {key: text for key, text in (("room", room), ("wall", wall), ("host", host)) if text}
        assert same(sent, value)


@given(st.lists(st.tuples(_TEXT, _VALUES), max_size=6))
def test_a_second_rendering_says_the_same_as_a_fresh_one(readings: list[tuple[str, float]]) -> None:
    samples = [VISITS.sample(value, room) for room, value in readings]
    kept = Exposition("h")
    kept.render([VISITS.sample(1, "hall"), *samples[:2]])
    assert kept.render(samples) == Exposition("h").render(samples)


def test_a_family_stands_in_one_piece_under_one_header() -> None:
    text = Exposition("h").render(
        [VISITS.sample(1, "hall"), TEMPERATURE.sample(20.5, "hall", "north"), VISITS.sample(2, "attic")]
    )
    assert text.decode() == (
        "# HELP room_visits_total Visits.\n"
        "# TYPE room_visits_total counter\n"
        'room_visits_total{room="hall",host="h"} 1\n'
        'room_visits_total{room="attic",host="h"} 2\n'
        '# HELP room_temperature How warm it is, "inside"\\nand \\\\ outside.\n'
        "# TYPE room_temperature gauge\n"
        'room_temperature{room="hall",wall="north",host="h"} 20.5\n'
    )


def test_an_info_metric_is_a_gauge_of_this_format() -> None:
    assert b"# TYPE room_build_info gauge\n" in Exposition("h").render([BUILD.sample(1, "Bo")])


def test_a_series_given_twice_keeps_its_first_value_and_is_counted() -> None:
    exposition = Exposition("h")
    text = exposition.render([VISITS.sample(1, "hall"), VISITS.sample(2, "hall"), VISITS.sample(3, "attic")])
    assert [value for _, _, value in parsed(text)] == [1, 3]
    assert exposition.duplicates == 1
    exposition.render([VISITS.sample(1, "hall")])
    assert exposition.duplicates == 0


def test_what_is_kept_does_not_grow_while_containers_come_and_go() -> None:
    exposition = Exposition("h")
    for generation in range(50):
        exposition.render([VISITS.sample(1, f"room-{generation}-{number}") for number in range(3)])
    assert sum(len(family.series) for family in exposition._families.values()) == 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("nan"), "NaN"),
        (float("inf"), "+Inf"),
        (float("-inf"), "-Inf"),
        (2**63, "9223372036854775808"),
        (True, "1"),
        (0.1, "0.1"),
        (1e22, "1e+22"),
    ],
)
def test_numbers_are_spelled_as_the_format_says(value: float, text: str) -> None:
    assert Exposition("h").render([VISITS.sample(value, "hall")]).decode().endswith(f"}} {text}\n")


def test_a_path_that_is_no_unicode_does_not_spoil_the_scrape() -> None:
    paths = [b"/mnt/\xff".decode("utf-8", "surrogateescape"), b"/mnt/\xfe".decode("utf-8", "surrogateescape")]
    found = parsed(Exposition("h").render([VISITS.sample(1, path) for path in paths]))
    assert [labels["room"] for _, labels, _ in found] == [r"/mnt/\udcff", r"/mnt/\udcfe"]


def test_nothing_measured_is_an_empty_exposition() -> None:
    assert Exposition("h").render([]) == b""


def test_wrong_number_of_label_values_is_a_bug_that_shows() -> None:
    with pytest.raises(ValueError, match="zip"):
        Exposition("h").render([VISITS.sample(1, "hall", "too many")])


def test_every_declared_metric_can_be_rendered() -> None:
    samples = [Sample(metric, ("x",) * len(metric.labels), 1.5) for metric in catalogue.METRICS.values()]
    # The reference parser gives the counters of other exporters that lack `_total` one.
    suffixless = [
        m.name for m in catalogue.METRICS.values() if m.kind is Kind.COUNTER and not m.name.endswith("_total")
    ]
    historic = {f"{name}_total": name for name in suffixless}
    found = [name for name, _, _ in parsed(Exposition("h").render(samples))]
    assert [historic.get(name, name) for name in found] == list(catalogue.METRICS)


def test_wanted_docker_labels_stand_on_a_containers_series_and_on_no_other() -> None:
    usage, load = catalogue.cgroup.MEMORY_USAGE, catalogue.host.LOAD1
    samples = [usage.sample(1, "db", "i:1"), usage.sample(2, "web", "i:1"), load.sample(3)]
    exposition = Exposition("h")
    plain = exposition.render(samples)
    assert b"container_label" not in plain
    labels = {("db", "i:1"): (("container_label_team", 'a"b\n'),)}
    text = exposition.render(samples, labels).decode()
    assert 'container_memory_usage_bytes{name="db",image="i:1",container_label_team="a\\"b\\n",host="h"} 1' in text
    assert text.count("container_label_team") == 1
    changed = exposition.render(samples, {("db", "i:1"): (("container_label_team", "c"),)}).decode()
    assert 'container_label_team="c"' in changed
    assert exposition.render(samples) == plain
