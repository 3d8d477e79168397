"""Every PromQL expression, asked of a real Prometheus that scrapes every declared metric.

Beside `test_dashboards_live`, which asks about real containers: here are also the metrics that this machine can't give,
such as those of cgroup v2 and of thin pools.
"""

import json
import math
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml

from alerts.thresholds import GATE_GROUP, GATE_LABEL, GATE_PLACE
from collector import catalogue
from collector.catalogue import METRICS
from collector.metrics import Kind, Metric, Unit
from dashboards.generated import dashboard_files
from dashboards.prometheus import dashboards
from tests.support.serve_metrics import serve_page
from tests.support.watched_host import faster_rules
from tests.support.web import serving_metrics

HOST, CONTAINER = "backup-1.example", "restore-7"
DEADLINE = 60.0
SUBSTITUTES = {
    "$__rate_interval": "5s",
    "$__range": "20s",
    "$job": "vdbmon",
    '=~"$host': '=~".*',
    "$host": HOST,
    "$name": CONTAINER,
    "$source": ".+",
}

# One plausible set of values per label; a metric has a series for each combination of its labels.
LABEL_VALUES = {
    "name": [CONTAINER],
    "image": ["vdbmon-backup:1"],
    "mode": ["user", "system", "idle", "iowait"],
    "mountpoint": ["/var/lib/vdbmon/volumes/a"],
    "fstype": ["ext4"],
    "device": ["/dev/sda1", "/dev/loop0"],
    "failure_type": ["pgfault", "pgmajfault"],
    "scope": ["hierarchy"],
    "endpoint": ["ping", "containers"],
    "kind": ["raw", "stored"],
    "state": ["started", "failed"],
    "threshold": ["gc_thresh3"],
    "process": ["dockerd"],
    "request_id": ["request-1"],
    "source": ["orders"],
    "backup_job": ["backup"],
}
# Values that decide whether an expression has a result; all other gauges may be anything above zero.
GAUGES = {catalogue.host.FS_READONLY: 0.0, catalogue.containers.UNNAMED: 0.0, catalogue.job.STATE: 1.0}


def series(metric: Metric) -> Iterator[str]:
    for values in product(*(LABEL_VALUES.get(label, [f"{label}-1"]) for label in metric.labels)):
        yield ",".join(f'{label}="{value}"' for label, value in zip(metric.labels, values, strict=True))


def exposition(seconds: float) -> str:
    """Every metric of the catalogue after the agent has run for `seconds`."""
    lines = []
    for metric in METRICS.values():
        value = GAUGES.get(metric, 7.0)
        if metric.kind is Kind.COUNTER:
            value = 100.0 + 0.25 * seconds
        elif metric.unit is Unit.TIMESTAMP:
            value = time.time() - 60
        lines += [f"# TYPE {metric.name} {'counter' if metric.kind is Kind.COUNTER else 'gauge'}"]
        lines += [f'{metric.name}{{host="{HOST}"{"," if labels else ""}{labels}}} {value}' for labels in series(metric)]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def agent() -> Iterator[str]:
    """Address of a server with the exposition."""
    with serving_metrics(exposition) as port:
        yield f"127.0.0.1:{port}"


def write_configuration(folder: Path, agent: str, serve: int, own: str) -> Path:
    names = {"HostIsFull": {"host": HOST}, "FleetIsFrozen": {}}
    alerts = [
        {"alert": name, "expr": "vector(1)", "labels": {GATE_LABEL: GATE_PLACE, "severity": "critical", **labels}}
        for name, labels in names.items()
    ]
    groups = yaml.safe_load(faster_rules())["groups"]
    recording = [rule for group in groups for rule in group["rules"] if "record" in rule]
    ours = [{"name": GATE_GROUP, "rules": alerts}, {"name": "recording", "interval": "1s", "rules": recording}]
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": ours}))
    alertmanager = [{"targets": [own], "labels": {"job": "alertmanager"}}]  # of which it has no series

    def job(name: str, target: str, **labels: str) -> dict[str, Any]:
        static = [{"targets": [target], "labels": labels}]
        return {"job_name": name, "honor_labels": True, "static_configs": static}

    configuration = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": alertmanager}]},
        "scrape_configs": [
            job("vdbmon", agent, host=HOST),
            job("vdbmon-serve", f"127.0.0.1:{serve}"),
            job("prometheus", own),
        ],
    }
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(configuration))
    return path


@pytest.fixture(scope="module")
def serve() -> Iterator[int]:
    """Port of a page as serve has it."""
    with serve_page() as port:
        yield port


@pytest.fixture(scope="module")
def ask(agent: str, serve: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """GET on a Prometheus of our own that has scraped and evaluated enough for every window."""
    folder = tmp_path_factory.mktemp("prometheus")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [
        "prometheus",
        f"--config.file={write_configuration(folder, agent, serve, address)}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:

        def get(path: str, **parameters: str) -> Any:
            with urlopen(f"http://{address}/api/v1/{path}?{urlencode(parameters)}", timeout=10) as response:
                document = json.load(response)
            assert (response.status, document["status"]) == (200, "success")
            return document["data"]

        wait_until_ready(get, process, folder / "log")
        yield get
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_ready(get: Callable[..., Any], process: subprocess.Popen[bytes], log: Path) -> None:
    ready = "count_over_time(up[1m]) >= 6 and on () ALERTS{alertstate='firing'}"
    pause = threading.Event()
    give_up = time.monotonic() + DEADLINE
    while time.monotonic() < give_up:
        assert process.poll() is None, log.read_text()
        try:
            if get("query", query=ready)["result"]:
                return
        except OSError:  # not listening yet, or still replaying its log (503)
            pass
        pause.wait(0.2)
    pytest.fail(f"Prometheus had no data within {DEADLINE} s:\n{log.read_text()}")


def substituted(text: str) -> str:
    for variable, value in SUBSTITUTES.items():
        text = text.replace(variable, value)
    assert "$" not in text
    return text


def prometheus_dashboards() -> list[dict[str, Any]]:
    return [json.loads(dashboard_files()[f"{dashboard.uid}.json"]) for dashboard in dashboards()]


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every panel of the generated files, also those in collapsed rows, with where it stands."""
    for dashboard in prometheus_dashboards():
        for item in dashboard["panels"]:
            for panel in (item, *item.get("panels", ())):
                yield f"{dashboard['uid']}: {panel['title']}", panel


def expressions() -> list[tuple[str, str]]:
    """Place and expression of every target."""
    return [(where, target["expr"]) for where, panel in panels() for target in panel.get("targets", ())]


def test_every_expression_of_every_panel_has_a_finite_result(ask: Callable[..., Any]) -> None:
    wrong = []
    for where, expr in expressions():
        result = ask("query", query=substituted(expr))["result"]
        values = [float(sample["value"][1]) for sample in result]
        if "alertmanager" in expr:  # asked of a real one in test_dashboards_live
            continue
        if not values or not all(map(math.isfinite, values)):
            wrong.append((where, expr, values))
    assert len(expressions()) > 100
    assert wrong == []


def test_an_expression_about_a_renamed_metric_has_no_result(ask: Callable[..., Any]) -> None:
    where, expr = next(item for item in expressions() if catalogue.host.LOAD1.name in item[1])
    assert ask("query", query=substituted(expr))["result"], where
    renamed = substituted(expr).replace(catalogue.host.LOAD1.name, "node_load_renamed")
    assert ask("query", query=renamed)["result"] == []


def test_table_columns_join_to_one_row_per_key(ask: Callable[..., Any]) -> None:
    """Columns with other labels than the keys would tear a row of the table apart."""
    tables = [(where, panel) for where, panel in panels() if panel["type"] == "table" and panel["targets"][1:]]
    assert tables
    for where, table in tables:
        results = [ask("query", query=substituted(target["expr"]))["result"] for target in table["targets"]]
        assert len({frozenset(sample["metric"]) for result in results for sample in result}) == 1, where


def test_every_variable_offers_a_choice(ask: Callable[..., Any]) -> None:
    for dashboard in dashboards():
        for variable in dashboard.variables:
            match = re.fullmatch(r"label_values\((.*), (\w+)\)", variable.query)
            assert match is not None
            selector, label = match.groups()
            offered = ask(f"label/{label}/values", **{"match[]": substituted(selector)})
            expected = {"job": "vdbmon", "host": HOST, "name": CONTAINER, "source": "orders"}
            assert offered == [expected[variable.name]]


@pytest.mark.parametrize("uid", ["vdbmon-fleet", "vdbmon-host"])
def test_alerts_of_the_chosen_host_and_of_the_fleet_are_listed_with_their_age(
    ask: Callable[..., Any], uid: str
) -> None:
    expr = next(
        expr for where, expr in expressions() if where == f"{uid}: Alerts that close placement" and "time()" in expr
    )
    rows = ask("query", query=substituted(expr))["result"]
    assert {row["metric"]["alertname"]: row["metric"].get("host") for row in rows} == {
        "HostIsFull": HOST,
        "FleetIsFrozen": None,
    }
    assert all(0 <= float(row["value"][1]) < DEADLINE for row in rows)
