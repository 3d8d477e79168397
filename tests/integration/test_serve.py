"""Serve between real servers: Prometheus, engines, ledgers; and each of them away."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector import labels
from collector.fleet_metrics import SERVE_JOB
from orchestrator.engines.docker_engine import DockerEngine
from orchestrator.ledger import Generations, LaunchState, open_ledger
from tests.support.agent import VDBMON, run_container
from tests.support.dockerd import OwnDockerd
from tests.support.fleet import exporter
from tests.support.ledger import INVENTORY, NEEDED, allocate, record
from tests.support.postgresql import PostgreSQL
from tests.support.schemas import schema
from tests.support.serve import NOWHERE, TAKEOVER_DEADLINE, Serve, serving, write_config
from tests.support.servers import free_port, http_get, http_json, prometheus, query
from tests.support.wait import wait_until

DEAD = 'docker = "tcp://127.0.0.1:9"'
PROMETHEUS = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
scrape_configs:
  - job_name: vdbmon
    honor_labels: true
    http_sd_configs: [{{url: "http://127.0.0.1:{serve}/sd", refresh_interval: 1s}}]
  - job_name: vdbmon-serve
    honor_labels: true
    static_configs: [{{targets: ["127.0.0.1:{serve}"]}}]
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A ledger of the test's own."""
    return f"sqlite:///{tmp_path}/ledger.db"


def test_prometheus_finds_its_targets_and_has_the_fleets_figures(
    shared_dockerd: OwnDockerd, url: str, tmp_path: Path
) -> None:
    serve_port, prometheus_port = free_port(), free_port()
    with exporter() as agent:
        hosts = {
            "db1": f'docker = "{shared_dockerd.address}"\nagent = "http://127.0.0.1:{agent.port}"\nzone = "a"',
            "db2": DEAD,
        }
        at = f"http://127.0.0.1:{prometheus_port}"
        config = write_config(tmp_path, "serve", url, hosts, prometheus_url=at, port=serve_port)
        with serving(config) as serve, prometheus(tmp_path, PROMETHEUS.format(serve=serve_port), prometheus_port) as p:
            found = wait_until(
                lambda: query(p, 'up{job="vdbmon"} == 1'), deadline=30, what="Prometheus scrapes what serve named"
            )
            assert {name: found[0]["metric"][name] for name in ("host", "instance")} == {
                "host": "db1",
                "instance": "db1",
            }
            serve.await_lease()
            free = 'vdbmon_capacity_free{host="db1",class="memory"}'
            used = 'vdbmon_capacity_used{host="db1",class="memory"}'
            (row,) = wait_until(lambda: query(p, free), deadline=30, what="capacity is in Prometheus")
            assert row["metric"]["job"] == SERVE_JOB
            assert "exported_host" not in row["metric"]
            (row,) = wait_until(lambda: query(p, used), deadline=30, what="what serve read there is back")
            assert float(row["value"][1]) == (32 - 8) * 2**30
            engines = 'vdbmon_placement_engine_up{host=~"db1|db2"}'
            wait_until(
                lambda: sorted(float(row["value"][1]) for row in query(p, engines)) == [0.0, 1.0],
                deadline=30,
                what="one engine answers, one doesn't",
            )
            serve.process.send_signal(signal.SIGKILL)
            serve.process.wait(20)
            wait_until(lambda: query(p, f'up{{job="{SERVE_JOB}"}} == 0'), deadline=30, what="serve is seen to be gone")
            assert query(p, 'up{job="vdbmon",host="db1"} == 1'), "Prometheus keeps its last targets"


def test_an_engine_that_hangs_costs_its_own_row(own_dockerd: OwnDockerd, url: str, tmp_path: Path) -> None:
    hosts = {"db1": f'docker = "{own_dockerd.address}"', "db2": DEAD}
    with serving(write_config(tmp_path, "serve", url, hosts)) as serve:
        serve.await_lease()
        wait_until(
            lambda: serve.value("vdbmon_placement_engine_up", host="db1") == 1, deadline=30, what="the engine answers"
        )
        own_dockerd.freeze()
        wait_until(
            lambda: serve.value("vdbmon_placement_engine_up", host="db1") == 0, deadline=30, what="the engine hangs"
        )
        assert serve.value("vdbmon_placement_host_closed", host="db1", code="engine.unreachable") == 1
        assert serve.value("vdbmon_placement_host_closed", host="db1", code="prometheus.unreachable") == 1
        assert serve.value("vdbmon_capacity_free", host="db1", **{"class": "cpu"}) == 8
        assert serve.value("vdbmon_capacity_used", host="db1", **{"class": "cpu"}) is None
        assert serve.value("vdbmon_serve_task_up", task="launches") == 1
        own_dockerd.thaw()
        wait_until(
            lambda: serve.value("vdbmon_placement_engine_up", host="db1") == 1, deadline=30, what="it answers again"
        )


def test_what_stopped_halfway_is_undone_and_what_leaks_is_told(
    own_dockerd: OwnDockerd, url: str, tmp_path: Path
) -> None:
    ledger = open_ledger(url)
    ledger.allocate(
        record("half", "r1"),
        NEEDED,
        inventory=INVENTORY,
        expected=Generations(host=0, source=0),
        max_readers=None,
        fingerprint=DockerEngine(own_dockerd.address).probe().fingerprint,
        decision={"why": "the only host"},
    )
    stray = {labels.MANAGED: "true", labels.REQUEST_ID: "f" * 32}
    run_container(own_dockerd, "stray", "sleep", "600", labels=stray)
    with serving(write_config(tmp_path, "serve", url, {"db1": f'docker = "{own_dockerd.address}"'})) as serve:
        serve.await_lease()
        wait_until(
            lambda: serve.value("vdbmon_placement_reconciled_total", action="undone") == 1, deadline=30, what="undone"
        )
        assert ledger.view().allocated == {}
        wait_until(
            lambda: serve.value("vdbmon_ledger_leaks", host="db1", kind="container") == 1, deadline=30, what="a leak"
        )
        oldest = serve.value("vdbmon_ledger_oldest_leak_timestamp_seconds", host="db1", kind="container")
        assert oldest == pytest.approx(time.time(), abs=60)
        assert serve.value("vdbmon_serve_task_up", task="reconcile") == 1
    ledger.close()
    assert [container.name for container in own_dockerd.client().containers.list()] == ["stray"]


def test_a_ledger_that_is_away_costs_what_it_tells_and_comes_back(postgresql: PostgreSQL, tmp_path: Path) -> None:
    url = postgresql.database()
    name = url.partition("@/")[2].partition("?")[0]
    close_database(postgresql, name)
    hosts = {"db1": f'{DEAD}\nagent = "http://127.0.0.1:9273"'}
    with serving(write_config(tmp_path, "serve", url, hosts)) as serve:
        assert serve.get("/sd")[1][0]["labels"]["host"] == "db1"
        assert serve.value("vdbmon_ledger_up") == 0
        assert serve.get("/api/decisions")[0] == 503
        open_database(postgresql, name)
        serve.await_lease()
        assert serve.value("vdbmon_ledger_up") == 1
        close_database(postgresql, name)
        wait_until(lambda: serve.value("vdbmon_ledger_up") == 0, deadline=30, what="the ledger is seen to be away")
        wait_until(lambda: not serve.holds, deadline=TAKEOVER_DEADLINE, what="the lease has run out")
        assert serve.value("vdbmon_capacity_free") is None
        status, document = serve.get("/api/decisions")
        assert (status, document["error"]["code"]) == (503, "ledger.unavailable")
        open_database(postgresql, name)
        serve.await_lease()
        assert serve.value("vdbmon_serve_lease_token") == 1, "nobody else had it meanwhile"
        assert "Traceback" not in serve.log.read_text()


def test_a_ledger_that_hangs_keeps_nobody_from_ending_serve(postgresql: PostgreSQL, tmp_path: Path) -> None:
    url = postgresql.database()
    name = url.partition("@/")[2].partition("?")[0]
    hosts = {"db1": f'{DEAD}\nagent = "http://127.0.0.1:9273"'}
    backends: set[int] = set()

    def hang_all() -> None:
        """Whatever serves this ledger, those that came since the last time too."""
        found = postgresql.sql("postgres", f"SELECT pid FROM pg_stat_activity WHERE datname = '{name}'")  # noqa: S608 - ours
        for pid in {int(pid) for pid in found.split()} - backends:
            backends.add(pid)
            os.kill(pid, signal.SIGSTOP)

    def is_away() -> bool:
        hang_all()
        return serve.value("vdbmon_ledger_up") == 0 and not serve.holds

    with serving(write_config(tmp_path, "serve", url, hosts)) as serve:
        serve.await_lease()
        try:
            wait_until(is_away, deadline=TAKEOVER_DEADLINE, what="the ledger is seen to hang", every=0.2)
            assert serve.get("/sd")[1][0]["labels"]["host"] == "db1"
            serve.process.send_signal(signal.SIGTERM)
            assert serve.process.wait(30) == 0
        finally:
            for pid in backends:
                os.kill(pid, signal.SIGCONT)


def close_database(server: PostgreSQL, name: str) -> None:
    """As if the server were away, for this ledger alone."""
    server.sql("postgres", f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    server.sql(
        "postgres",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",  # noqa: S608 - ours
    )


def open_database(server: PostgreSQL, name: str) -> None:
    """Back again."""
    server.sql("postgres", f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


@pytest.fixture
def placing(url: str, tmp_path: Path) -> Iterator[Serve]:
    """A serve that holds the lease, of a fleet that can be asked to place something."""
    credentials = tmp_path / "orders.cnf"
    credentials.touch(mode=0o600)
    source = (
        f'[[sources]]\nname = "orders"\nreach = "local"\nhost = "db1"\naddress = "unix://{tmp_path}/mysqld.sock"\n'
        f'data_dir = "{tmp_path}/data"\ncredentials_file = "{credentials}"\n'
    )
    with serving(write_config(tmp_path, "serve", url, {"db1": DEAD, "db2": f"{DEAD}\n{source}"})) as serve:
        serve.await_lease()
        yield serve


def test_decisions_are_counted_and_told_as_their_schema_says(placing: Serve) -> None:
    assert placing.value("vdbmon_placement_refusals_total", code="prometheus.unreachable") == 0
    for name in ("full", "other"):
        refused = subprocess.run(
            [VDBMON, "place", name, "--source", "orders", "--config", str(placing.config)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert refused.returncode == 3, refused.stderr
    wait_until(
        lambda: placing.value("vdbmon_placement_decisions_total", outcome="refused") == 2,
        deadline=20,
        what="both decisions are counted",
    )
    assert placing.value("vdbmon_placement_decisions_total", outcome="accepted") == 0
    assert placing.value("vdbmon_placement_refusals_total", code="prometheus.unreachable") == 2
    assert placing.value("vdbmon_placement_refusals_total", code="source.not_local") == 2
    assert placing.value("vdbmon_ledger_entries_total", kind="decision") == 2
    status, document = placing.get("/api/decisions?limit=1")
    assert status == 200
    schema("decisions").validate(document)
    assert [entry["decision"]["name"] for entry in document["decisions"]] == ["other"]
    _, older = placing.get(f"/api/decisions?limit=1&before={document['next']}")
    assert [entry["decision"]["name"] for entry in older["decisions"]] == ["full"]
    _, named = placing.get("/api/decisions?name=full")
    assert [entry["decision"] for entry in named["decisions"]] == [older["decisions"][0]["decision"]]
    assert placing.get("/api/decisions?limit=x")[0] == 400
    status, capacity = placing.get("/api/capacity")
    assert status == 200
    schema("capacity").validate(capacity)
    assert [host["host"] for host in capacity["hosts"]] == ["db1", "db2"]


def test_launches_are_told_by_state(placing: Serve, url: str) -> None:
    ledger = open_ledger(url)
    began = time.time()
    allocate(ledger, record("b1", "r1"))
    wait_until(
        lambda: placing.value("vdbmon_ledger_launches", host="db1", state="intent") == 1, deadline=20, what="an intent"
    )
    assert placing.value("vdbmon_ledger_oldest_launch_timestamp_seconds", host="db1", state="intent") == 1.0
    assert placing.value("vdbmon_ledger_launches", host="db2", state="intent") == 0
    wait_until(
        lambda: placing.value("vdbmon_capacity_allocated", host="db1", **{"class": "slots"}) == 1,
        deadline=20,
        what="its slot is given away",
    )
    ledger.advance("r1", LaunchState.FAILED, at=began)
    wait_until(
        lambda: placing.value("vdbmon_ledger_entries_total", kind="state.failed") == 1, deadline=20, what="its failure"
    )
    ledger.close()


def test_a_changed_file_is_read_on_sighup_and_a_bad_one_is_not(placing: Serve) -> None:
    good = placing.config.read_text()
    placing.config.write_text(good.replace("[serve]", "[srve]"))
    placing.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "not reloaded" in placing.log.read_text(), deadline=20, what="the bad file is named")
    assert placing.get("/sd") == (200, [])
    placing.config.write_text(good.replace('name = "db2"\n', f'name = "db2"\nagent = "{NOWHERE}"\n'))
    placing.process.send_signal(signal.SIGHUP)
    sd = f"{placing.url}/sd"
    wait_until(lambda: http_get(sd) not in {None, "[]\n"}, deadline=20, what="the new target")
    assert [group["labels"]["host"] for group in http_json(sd)] == ["db2"]
    placing.await_lease()
    assert placing.value("vdbmon_serve_lease_token") == 2
    assert "Traceback" not in placing.log.read_text()


def test_a_held_port_and_a_bad_ledger_end_it_with_one_line(url: str, tmp_path: Path) -> None:
    config = write_config(tmp_path, "serve", url, {})
    with serving(config):
        again = subprocess.run(
            [VDBMON, "serve", "--config", str(config)], capture_output=True, text=True, check=False, timeout=60
        )
    assert again.returncode == 1
    assert "is held by another program; stop that one, or set another port as [serve] listen" in again.stderr
    assert "Traceback" not in again.stderr
    secret = write_config(tmp_path, "secret", "postgresql+psycopg://ann:word@db/ledger", {})
    refused = subprocess.run(
        [VDBMON, "serve", "--config", str(secret)], capture_output=True, text=True, check=False, timeout=60
    )
    assert refused.returncode == 2
    assert "[ledger] url holds a password" in refused.stderr
