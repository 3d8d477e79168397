"""InfluxQL is about fields that the agent writes, with tags that they have, and treats counters as counters."""

import re

import pytest

from collector import catalogue
from dashboards.influxdb import dashboards
from dashboards.influxdb.influxql import Scope, computed, stored, tag_values
from dashboards.spec import Query
from tests.support.everything import collections

SCOPE = Scope('"host" =~ /^$host$/')
# What every agent writes that reads every declared metric: tags and fields by measurement.
WRITTEN: dict[str, tuple[set[str], set[str]]] = {}
for points in collections("h", 10**18, 2):
    for point in points:
        tags, fields = WRITTEN.setdefault(point.measurement, (set(), set()))
        tags.update(name for name, _ in point.tags)
        fields.update(point.fields)

QUERIES = [
    (f"{dashboard.uid}/{panel.slug}", query)
    for dashboard in dashboards()
    for panel in dashboard.panels()
    for query in panel.expressions()
]
each_query = pytest.mark.parametrize(
    "query", [query for _, query in QUERIES], ids=[f"{where}-{number}" for number, (where, _) in enumerate(QUERIES)]
)


def unknown(query: str) -> set[str]:
    """Quoted names that the measurement has neither as field nor as tag, and that the query didn't name itself."""
    (measurement,) = set(re.findall(r'FROM "(\w+)"', query))
    tags, fields = WRITTEN[measurement]
    own = set(re.findall(r'AS "([^"]+)"', query))
    return set(re.findall(r'"([^"]+)"', query)) - tags - fields - own - {measurement}


@each_query
def test_fields_and_tags_are_those_that_the_agent_writes(query: Query) -> None:
    assert unknown(query.expr) == set()


@each_query
def test_legends_name_tags_that_are_grouped_by(query: Query) -> None:
    last_grouping = query.expr.rpartition("GROUP BY")[2]
    for tag in re.findall(r"\$tag_(\w+)", query.legend):
        assert f'"{tag}"' in last_grouping


def test_variables_ask_for_tags_that_are_written() -> None:
    for dashboard in dashboards():
        for variable in dashboard.variables:
            match = re.match(r'SHOW TAG VALUES FROM "(\w+)" WITH KEY = "(\w+)"', variable.query)
            assert match is not None
            measurement, tag = match.groups()
            assert tag in WRITTEN[measurement][0]


def test_the_check_finds_a_renamed_field() -> None:
    query = SCOPE.gauge(stored(catalogue.host.LOAD1))
    assert unknown(query) == set()
    assert unknown(query.replace("load1", "lod1")) == {"lod1"}


def test_units_become_ours() -> None:
    received = SCOPE.rate(stored(catalogue.cgroup.CPU_USER))
    assert 'last("usage_in_usermode"), 1s) / 1000000000 FROM "docker_container_cpu"' in received
    assert 'mean("speed") * 125000 ' in SCOPE.gauge(stored(catalogue.host.NET_SPEED))  # Mbit/s to bytes per second


def test_a_counter_is_refused_bare_and_a_gauge_as_a_rate() -> None:
    with pytest.raises(ValueError, match="bytes_recv is a counter"):
        SCOPE.gauge(stored(catalogue.host.NET_RECEIVE_BYTES))
    with pytest.raises(ValueError, match="load1 is a gauge"):
        SCOPE.rate(stored(catalogue.host.LOAD1))


def test_a_tag_that_the_series_lack_is_refused() -> None:
    with pytest.raises(ValueError, match="system load1 has no tag cpu"):
        SCOPE.gauge(stored(catalogue.host.LOAD1), "cpu")
    with pytest.raises(ValueError, match="has no tag name"):
        tag_values(stored(catalogue.host.LOAD1), "name")


def test_what_is_never_written_is_refused() -> None:
    with pytest.raises(ValueError, match="_usage is never written"):
        stored(catalogue.cgroup.MEMORY_USAGE)
    with pytest.raises(ValueError, match="does not go to nowhere"):
        stored(catalogue.host.LOAD1, "nowhere")
    with pytest.raises(ValueError, match="does not go to InfluxDB"):
        computed(catalogue.cgroup.FS_READ_BYTES, "any")


def test_only_fields_of_one_measurement_are_divided() -> None:
    with pytest.raises(ValueError, match="load1 is in system, total in mem"):
        SCOPE.ratio(stored(catalogue.host.LOAD1), stored(catalogue.host.MEMORY["MemTotal"]))
