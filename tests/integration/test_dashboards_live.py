"""Every expression of every panel, variable and mark, asked of servers that hold what a live agent saw of containers
under load: Prometheus with the delivered rules, and InfluxDB 1.6 with the same points."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from collector import catalogue
from dashboards.spec import Source
from tests.support.panel_expressions import (
    CGROUP2_ONLY,
    Values,
    dashboards,
    expressions,
    substituted,
    without_values,
)
from tests.support.servers import Server, http_json, influx_query, prometheus, query
from tests.support.wait import wait_until
from tests.support.watched_fleet import HOST, leave_network, place
from tests.support.watched_host import (
    CONTAINER,
    DATABASE,
    WatchedHost,
    prometheus_config,
    watched_host,
    write_rules,
)

pytestmark = pytest.mark.timeout(300)

PATIENCE = 90.0
SCRAPES = 20
PROMQL = {
    "$__rate_interval": "15s",
    "$__range": "1m",
    "$job": "vdbmon",
    '=~"$host': '=~".+',
    "$host": HOST,
    "$name": CONTAINER,
    "$source": ".+",
}
INFLUXQL = {"$timeFilter": "time > now() - 5m", "$__interval": "5s", "$host": HOST, "$name": CONTAINER}

# What can't be shown here, by dashboard and panel, with the reason. A panel that is not here must have values; these
# have them in test_dashboards_prometheus, where every declared metric has one.
EMPTY = {
    CGROUP2_ONLY: "this machine may have cgroup v1; test_cgroup2_guest asks them about a kernel with cgroup v2",
    r"vdbmon-itself/output-lost/1": "only Zabbix refuses single values",
    r"vdbmon-storage/thin-pool-used": "needs a thin pool of device-mapper",
}


@pytest.fixture(scope="module")
def world() -> Iterator[WatchedHost]:
    with watched_host() as watched:
        leave_network(watched.daemon)
        place(watched.daemon, watched.fleet)
        ready = (
            f"count_over_time(up{{host='{HOST}'}}[5m]) >= {SCRAPES}"
            " and on () ALERTS{alertname='AgentGone', alertstate='firing'}"
            f" and on () count_over_time(container_last_seen{{name='{CONTAINER}'}}[5m]) >= {SCRAPES}"
            f" and on () count_over_time(vdbmon_capacity_used{{host='{HOST}',class='memory'}}[5m]) >= {SCRAPES}"
            f" and on () vdbmon_ledger_leaks{{host='{HOST}',kind='network'}} > 0"
            " and on () vdbmon_schedule_refusing_hosts and on () vdbmon_catalogue_backups"
        )
        wait_until(lambda: query(watched.prometheus, ready), deadline=PATIENCE, what="Prometheus has enough", every=0.5)
        points = f"SELECT count(usage_percent) FROM docker_container_cpu WHERE container_name = '{CONTAINER}'"  # noqa: S608
        wait_until(
            lambda: (
                (influx_query(watched.influxdb, points, DATABASE) or [{"values": [[0, 0]]}])[0]["values"][0][1]
                > SCRAPES
            ),
            deadline=PATIENCE,
            what="InfluxDB has enough",
        )
        yield watched


def of_prometheus(server: Server) -> Callable[[str], Values]:
    def ask(expr: str) -> Values:
        return [float(series["value"][1]) for series in query(server, substituted(expr, PROMQL))]

    return ask


def of_influxdb(server: Server) -> Callable[[str], Values]:
    def ask(expr: str) -> Values:
        statement = re.sub(r"=~ /\^(\$\w+)\$/", r"= '\1'", expr)
        series = influx_query(server, substituted(statement, INFLUXQL), DATABASE)
        rows = [row for each in series for row in each["values"]]
        return [float(value) for row in rows for value in row[1:2] if value is not None]

    return ask


def excused(where: str) -> bool:
    return any(re.match(f"{pattern}(/|$)", where) for pattern in EMPTY)


def test_every_promql_expression_has_finite_values(world: WatchedHost) -> None:
    wrong = without_values(expressions(Source.PROMETHEUS), of_prometheus(world.prometheus))
    assert {where: words for where, words in wrong.items() if not excused(where)} == {}


def test_every_influxql_expression_has_finite_values(world: WatchedHost) -> None:
    wrong = without_values(expressions(Source.INFLUXDB), of_influxdb(world.influxdb))
    assert {where: words for where, words in wrong.items() if not excused(where)} == {}


def test_what_may_be_empty_names_panels_that_exist() -> None:
    places = [where for source in Source for where, _ in expressions(source)]
    for pattern in EMPTY:
        assert any(re.match(f"{pattern}(/|$)", where) for where in places), pattern


def test_every_variable_offers_what_is_there(world: WatchedHost) -> None:
    for dashboard in dashboards(Source.PROMETHEUS):
        for variable in dashboard.variables:
            match = re.fullmatch(r"label_values\((.*), (\w+)\)", variable.query)
            assert match is not None
            words = urlencode({"match[]": substituted(match[1], PROMQL)})
            offered = http_json(f"{world.prometheus.url}/api/v1/label/{match[2]}/values?{words}")["data"]
            chosen = {"job": "vdbmon", "host": HOST, "name": CONTAINER, "source": "orders"}[variable.name]
            assert chosen in offered, (dashboard.uid, variable.name)
    for dashboard in dashboards(Source.INFLUXDB):
        for variable in dashboard.variables:
            statement = substituted(re.sub(r"=~ /\^(\$\w+)\$/", r"= '\1'", variable.query), INFLUXQL)
            (series,) = influx_query(world.influxdb, statement, DATABASE)
            offered = [value for _, value in series["values"]]
            assert {"host": HOST, "name": CONTAINER}[variable.name] in offered, (dashboard.uid, variable.name)


def test_a_metric_that_is_renamed_turns_its_panels_red_and_no_others(world: WatchedHost, tmp_path: Path) -> None:
    """A second Prometheus sees the same agent with one metric under another name."""
    lost = catalogue.host.LOAD1.name
    relabel = [
        {"source_labels": ["__name__"], "regex": lost, "target_label": "__name__", "replacement": "node_load_one"}
    ]
    write_rules(tmp_path)
    config = prometheus_config(
        9, world.agent, serve=world.serve_port, alertmanager_port=world.alertmanager_port, relabel=relabel
    )
    with prometheus(tmp_path, config) as other:
        enough = f"count_over_time(up{{host='{HOST}'}}[5m]) >= 10"
        wait_until(lambda: query(other, enough), deadline=PATIENCE, what="the second Prometheus has enough")
        of_host = [(where, expr) for where, expr in expressions(Source.PROMETHEUS) if where.startswith("vdbmon-host/")]
        plain = [(where, expr) for where, expr in of_host if "rate(" not in expr and "ALERTS" not in expr]
        wrong = without_values(iter(plain), of_prometheus(other))
        usual = without_values(iter(plain), of_prometheus(world.prometheus))
    assert {where for where, expr in plain if lost in expr} == wrong.keys() - usual.keys()
    assert any(lost in expr for _, expr in plain)


def test_a_field_that_is_renamed_turns_its_panels_red(world: WatchedHost) -> None:
    found = [(where, expr) for where, expr in expressions(Source.INFLUXDB) if '"io_util"' in expr]
    assert found
    ask = of_influxdb(world.influxdb)
    assert without_values(iter(found), ask) == {}
    renamed = [(where, expr.replace('"io_util"', '"io_utilisation"')) for where, expr in found]
    assert without_values(iter(renamed), ask).keys() == dict(found).keys()
