"""OpenMetrics text, read back by the reference parser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as parse_text

from collector import catalogue
from collector.foreign import ForeignMetric
from collector.metrics import Kind, Sample, Unit, counter, gauge, info
from collector.projections.prometheus import Exposition, TextFormat

OPEN = TextFormat.OPENMETRICS
VISITS = counter("room_visits_total", 'Visits, "guests"\nand \\ others.', "room")
AIR = counter("room_air_seconds_total", "Time of fresh air.", "room", unit=Unit.SECONDS)
SIZE = gauge("room_size_bytes", "Size.", "room", unit=Unit.BYTES)
OPENED = gauge("room_opened_timestamp_seconds", "When.", "room", unit=Unit.TIMESTAMP)
RSS = gauge("room_rss", "Bytes by a name that does not say so.", "room", unit=Unit.BYTES)
FAILCNT = counter("room_failcnt", "A counter by its traditional name.", "room")
BUILD = info("room_build_info", "Who built it.", "architect")
PRINTED = ForeignMetric("printed_total", Kind.COUNTER, "Printed by a command.")

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_VALUES = st.one_of(st.floats(), st.integers(-(2**70), 2**70))


def families_of(text: str) -> list[Metric]:
    return list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


def rendered(*samples: Sample) -> str:
    return Exposition("h").render(samples, None, OPEN).decode()


@pytest.mark.parametrize(
    ("sample", "text"),
    [
        (
            VISITS.sample(1, "hall"),
            (
                "# TYPE room_visits counter\n"
                '# HELP room_visits Visits, \\"guests\\"\\nand \\\\ others.\n'
                'room_visits_total{room="hall",host="h"} 1\n'
            ),
        ),
        (
            AIR.sample(0.5, "hall"),
            (
                "# TYPE room_air_seconds counter\n# UNIT room_air_seconds seconds\n"
                '# HELP room_air_seconds Time of fresh air.\nroom_air_seconds_total{room="hall",host="h"} 0.5\n'
            ),
        ),
        (
            SIZE.sample(2, "hall"),
            (
                "# TYPE room_size_bytes gauge\n# UNIT room_size_bytes bytes\n"
                '# HELP room_size_bytes Size.\nroom_size_bytes{room="hall",host="h"} 2\n'
            ),
        ),
        (
            OPENED.sample(3, "hall"),
            (
                "# TYPE room_opened_timestamp_seconds gauge\n# UNIT room_opened_timestamp_seconds seconds\n"
                '# HELP room_opened_timestamp_seconds When.\nroom_opened_timestamp_seconds{room="hall",host="h"} 3\n'
            ),
        ),
        (
            RSS.sample(4, "hall"),
            (
                "# TYPE room_rss gauge\n# HELP room_rss Bytes by a name that does not say so.\n"
                'room_rss{room="hall",host="h"} 4\n'
            ),
        ),
        (
            FAILCNT.sample(5, "hall"),
            (
                "# TYPE room_failcnt unknown\n# HELP room_failcnt A counter by its traditional name.\n"
                'room_failcnt{room="hall",host="h"} 5\n'
            ),
        ),
        (
            BUILD.sample(1, "Bo"),
            '# TYPE room_build info\n# HELP room_build Who built it.\nroom_build_info{architect="Bo",host="h"} 1\n',
        ),
        (
            PRINTED.sample(-1),
            '# TYPE printed_total unknown\n# HELP printed_total Printed by a command.\nprinted_total{host="h"} -1\n',
        ),
    ],
)
def test_a_family_of_each_kind(sample: Sample, text: str) -> None:
    assert rendered(sample) == text + "# EOF\n"
    (family,) = families_of(rendered(sample))
    assert family.samples[0].name == sample.metric.name
    assert family.documentation == sample.metric.help


def test_nothing_measured_is_only_the_end() -> None:
    assert rendered() == "# EOF\n"


def test_every_declared_metric_can_be_read_back_and_keeps_its_name() -> None:
    samples = [Sample(metric, ("x",) * len(metric.labels), 1) for metric in catalogue.METRICS.values()]
    families = families_of(rendered(*samples))
    assert [sample.name for family in families for sample in family.samples] == list(catalogue.METRICS)
    kinds = {sample.name: family.type for family in families for sample in family.samples}
    for name, metric in catalogue.METRICS.items():
        expected = "unknown" if metric.kind is Kind.COUNTER and not name.endswith("_total") else metric.kind.value
        assert kinds[name] == expected


def series_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


@given(st.dictionaries(st.tuples(_TEXT, _TEXT), _VALUES), st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_both_formats_say_the_same_and_the_parser_reads_it(readings: dict[tuple[str, str], float], host: str) -> None:
    metric = gauge("room_temperature", "How warm it is.", "room", "wall")
    samples = [metric.sample(value, *labels) for labels, value in readings.items()]
    exposition = Exposition(host)
    text = exposition.render(samples).decode()
    opened = exposition.render(samples, None, OPEN).decode()
    assert series_of(opened) == series_of(text)
    read = [sample for family in families_of(opened) for sample in family.samples]
    oracle = [sample for family in parse_text(text) for sample in family.samples]
    assert [(sample.labels, repr(sample.value)) for sample in read] == [
        (sample.labels, repr(sample.value)) for sample in oracle
    ]


def test_what_one_format_kept_serves_the_other() -> None:
    exposition = Exposition("h")
    exposition.render([VISITS.sample(1, "hall")], None, OPEN)
    before = exposition._families[VISITS].series["hall",]
    exposition.render([VISITS.sample(2, "hall")])
    assert exposition._families[VISITS].series["hall",] is before
