"""The gate against a real Prometheus and a real Alertmanager: what closes a host, and what must not open it."""

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alerts.thresholds import GATE_FOR, TELEMETRY_STALE_AFTER
from orchestrator.decision.decide import Decision
from orchestrator.decision.resources import ResourceClass
from orchestrator.placement.scheduler import Scheduler, open_scheduler
from tests.support.dockerd import OwnDockerd
from tests.support.fleet import GIB, HOST, SMALL, Exporter, exporter, fleet, gate_prometheus, source
from tests.support.schemas import schema
from tests.support.servers import Server, alertmanager, http_json, stop
from tests.support.wait import wait_until

WARM = GATE_FOR + 30.0
SOON = 20.0
QUIET = "route: {receiver: none}\nreceivers: [{name: none}]\n"


@dataclass
class Gate:
    scheduler: Scheduler
    metrics: Exporter
    prometheus: Server
    alertmanager: Server
    folder: Path
    config: Path
    extra: dict[str, float] = field(default_factory=dict)

    def decide(self) -> Decision:
        request = self.scheduler.request("b1", source="demo", job="backup", amounts=SMALL)
        return self.scheduler.decide(request)

    def codes(self) -> frozenset[str]:
        return self.decide().codes(HOST)

    def becomes(self, *codes: str) -> Decision:
        """Wait until these and no others are the reasons."""
        wait_until(lambda: self.codes() == frozenset(codes), deadline=WARM, what=f"reasons {codes}", every=0.3)
        return self.decide()


CONFIG = """
[host]
name = "{host}"
[prometheus]
url = "{prometheus}"
[ledger]
url = "sqlite:///{folder}/state/ledger.db"
[volumes]
dir = "{folder}/volumes"
[[hosts]]
name = "{host}"
agent = "http://127.0.0.1:9"
docker = "{docker}"
inventory = {{ cpus = 2, memory = "8GiB", disk = "20GiB", read_bps = "200MB", write_bps = "200MB" }}
[[sources]]
name = "demo"
reach = "local"
host = "{host}"
address = "unix://{folder}/source/mysqld.sock"
data_dir = "{folder}/source/data"
credentials_file = "{folder}/source/source.cnf"
"""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Exporter, Server, Server]]:
    folder = tmp_path_factory.mktemp("monitoring")
    with exporter() as metrics, alertmanager(folder, QUIET) as manager:
        address = f"127.0.0.1:{manager.port}"
        with gate_prometheus(folder, metrics, alertmanager=address) as server:
            yield metrics, server, manager


@pytest.fixture
def gate(tmp_path: Path, shared_dockerd: OwnDockerd, servers: tuple[Exporter, Server, Server]) -> Iterator[Gate]:
    metrics, server, manager = servers
    with source(tmp_path / "source") as demo:
        settings = fleet(tmp_path, docker=shared_dockerd.address, prometheus_url=server.url, demo=demo)
        config = tmp_path / "vdbmon.toml"
        config.write_text(
            CONFIG.format(host=HOST, prometheus=server.url, folder=tmp_path, docker=shared_dockerd.address)
        )
        with open_scheduler(settings, HOST) as scheduler:
            opened = Gate(scheduler, metrics, server, manager, tmp_path, config)
            opened.becomes()
            yield opened
            metrics.extra.clear()
            metrics.clock_offset = 0.0
            metrics.memory_available = 8 * GIB


def silence(manager: Server, alert: str) -> None:
    now = datetime.now(UTC)
    document = {
        "matchers": [{"name": "alertname", "value": alert, "isRegex": False, "isEqual": True}],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "test",
        "comment": "a silence stops a page",
    }
    request = urllib.request.Request(
        f"{manager.url}/api/v2/silences", json.dumps(document).encode(), {"Content-Type": "application/json"}
    )
    with contextlib.closing(urllib.request.urlopen(request, timeout=5)) as answer:
        assert answer.status == 200


def suppressed(manager: Server) -> bool:
    alerts = http_json(f"{manager.url}/api/v2/alerts") or []
    return any(item["status"]["state"] == "suppressed" for item in alerts)


def test_firing_alert_closes_its_host_also_when_silenced_and_opens_it_again(gate: Gate) -> None:
    gate.metrics.extra[f'test_filesystem_full{{host="{HOST}"}}'] = 1
    decision = gate.becomes("alert.firing")
    assert decision.verdicts[0].reasons[0].sentence == f"alert HostFilesystemFull fires: / of {HOST} is full"
    silence(gate.alertmanager, "HostFilesystemFull")
    wait_until(lambda: suppressed(gate.alertmanager), deadline=SOON, what="the alert is silenced")
    assert gate.codes() == {"alert.firing"}
    gate.metrics.extra.clear()
    gate.becomes()


def test_alert_of_a_host_that_is_not_ours_closes_the_fleet(gate: Gate) -> None:
    gate.metrics.extra['test_filesystem_full{host="elsewhere"}'] = 1
    decision = gate.becomes("alert.scope_unknown")
    assert "elsewhere" in decision.verdicts[0].reasons[0].sentence


def test_alert_without_a_host_closes_the_fleet(gate: Gate) -> None:
    gate.metrics.extra["test_nobody"] = 1
    gate.becomes("alert.scope_unknown")


def test_pending_alert_closes_nothing(gate: Gate) -> None:
    gate.metrics.extra["test_slow"] = 1

    def is_pending() -> bool:
        answer = http_json(f"{gate.prometheus.url}/api/v1/alerts")
        return any(item["labels"]["alertname"] == "SlowToFire" for item in answer["data"]["alerts"])

    wait_until(is_pending, deadline=SOON, what="the alert is pending")
    # A young Prometheus may have lost a firing state: there pending closes, for a few evaluations longer.
    gate.becomes()


def test_use_that_leaves_no_room_is_refused_with_its_figures(gate: Gate) -> None:
    gate.metrics.memory_available = 32 * 2**20
    decision = gate.becomes("capacity.memory")
    (reason,) = decision.verdicts[0].reasons
    assert (reason.dimension, reason.needed) == (ResourceClass.MEMORY, 64 * 2**20)
    assert (reason.free, reason.shortfall) == (32 * 2**20, 32 * 2**20)


def test_an_input_that_stopped_is_stale_telemetry(gate: Gate) -> None:
    gate.metrics.clock_offset = -(TELEMETRY_STALE_AFTER + 10.0)
    decision = gate.becomes("telemetry.stale")
    assert "30 s is the limit" in decision.verdicts[0].reasons[0].sentence


def test_dimension_that_is_not_measured_is_refused_by_name(gate: Gate) -> None:
    gate.metrics.memory_available = float("nan")  # type: ignore[assignment]
    decision = gate.becomes("telemetry.missing")
    assert decision.verdicts[0].reasons[0].dimension is ResourceClass.MEMORY


def vdbmon(gate: Gate, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command itself, as a user runs it: no terminal, 80 columns."""
    command = [str(Path(sys.executable).with_name("vdbmon")), *arguments, "--config", str(gate.config)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_command_refuses_with_a_table_that_fits_and_exit_code_3(gate: Gate) -> None:
    gate.metrics.extra[f'test_filesystem_full{{host="{HOST}"}}'] = 1
    gate.becomes("alert.firing")
    done = vdbmon(gate, "place", "b1", "--source", "demo", "--memory", "40GiB")
    assert done.returncode == 3
    assert done.stderr == ""
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    words = " ".join(done.stdout.split())
    assert "alert.firing: alert HostFilesystemFull fires" in words
    assert "capacity.memory: memory: 40 GiB needed, 8 GiB free, 32 GiB short" in words


def test_containers_of_others_count_by_their_limits(gate: Gate) -> None:
    label = '{name="theirs",image="postgres:16"}'
    gate.metrics.extra |= {
        f"container_last_seen{label}": 1.0,
        f"container_spec_memory_limit_bytes{label}": 7.0 * GIB,
    }
    wait_until(lambda: free_memory(gate) == GIB, deadline=SOON, what="their limit counts", every=0.5)


def free_memory(gate: Gate) -> int:
    (verdict,) = gate.decide().verdicts
    return verdict.free[ResourceClass.MEMORY]


def test_command_prints_one_json_document(gate: Gate) -> None:
    done = vdbmon(gate, "place", "b1", "--source", "demo", "--memory", "40GiB", "--dry-run", "--json")
    assert done.returncode == 3
    document = json.loads(done.stdout)
    schema("placement").validate(document)
    (verdict,) = document["decision"]["verdicts"]
    (reason,) = verdict["reasons"]
    assert (reason["code"], reason["needed"], reason["free"]) == ("capacity.memory", 40 * GIB, 8 * GIB)
    assert document["decision"]["host"] is None
    assert document["launched"] is None


def test_operator_overrides_the_gate_by_name_and_it_stands_in_the_record(gate: Gate) -> None:
    small = ("b1", "--source", "demo", "--disk", "16MiB", "--memory", "64MiB")
    assert vdbmon(gate, "cordon", HOST, "--why", "new kernel").returncode == 0
    refused = vdbmon(gate, "place", *small)
    assert refused.returncode == 3
    assert "host.cordoned" in refused.stdout
    assert vdbmon(gate, "place", *small, "--override", "host.cordoned").returncode == 2, "a reason must be given"
    assert vdbmon(gate, "place", *small, "--override", "capacity.slots", "--why", "x").returncode == 2
    done = vdbmon(gate, "place", *small, "--override", "host.cordoned", "--why", "it is urgent")
    assert "has no image" in done.stderr, "it got as far as the launch"
    explained = vdbmon(gate, "explain", "b1").stdout
    assert "b1: accepted" in explained
    assert "host.cordoned: it is urgent" in explained
    assert "1 earlier: vdbmon explain b1 --request " in explained
    assert vdbmon(gate, "uncordon", HOST).stdout == f"{HOST} takes containers again\n"


def test_command_that_fails_to_launch_says_so_in_one_line_and_leaves_nothing(gate: Gate) -> None:
    done = vdbmon(gate, "place", "b1", "--source", "demo", "--disk", "16MiB", "--memory", "64MiB")
    assert done.returncode == 1
    assert done.stderr.startswith("vdbmon: b1 was not launched: ")
    assert "has no image" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert vdbmon(gate, "ps").stdout == "nothing is placed\n"
    assert vdbmon(gate, "rm", "b1").stdout == "nothing is left of b1\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["b1", "--source", "demo", "--memory=-5GiB"], "--memory: '-5GiB' is no size"),
        (["b1", "--source", "demo", "--cpus", "nan"], "--cpus: nan is no number of cores"),
        (["b1", "--source", "demo", "--cpus", "-1"], "--cpus: -1 is no number of cores"),
        (["b1", "--source", "absent"], "no source 'absent'; known: demo"),
        (["b1", "--source", "demo", "--job", "dance"], "no job 'dance'; known: backup"),
        (["b/1", "--source", "demo"], "'b/1' is no container name"),
        (["b" * 64, "--source", "demo"], "is no container name"),
        (["b1", "--source", "demo", "--disk", "1kB"], "disk space of 1000 B is too small"),
    ],
)
def test_bad_input_ends_with_2_and_nothing_done(gate: Gate, arguments: list[str], said: str) -> None:
    done = vdbmon(gate, "place", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert gate.scheduler.ledger.launches() == ()


def test_stopped_prometheus_and_a_young_one_are_refused(tmp_path: Path, shared_dockerd: OwnDockerd) -> None:
    folder = tmp_path / "prometheus"
    folder.mkdir()
    with exporter() as metrics, source(tmp_path / "source") as demo, gate_prometheus(folder, metrics) as server:
        settings = fleet(tmp_path, docker=shared_dockerd.address, prometheus_url=server.url, demo=demo)
        with open_scheduler(settings, HOST) as scheduler:
            request = scheduler.request("b1", source="demo", job="backup", amounts=SMALL)
            assert "prometheus.warming_up" in scheduler.decide(request).codes(HOST)
            stop(server.process)
            assert scheduler.decide(request).codes(HOST) == {"prometheus.unreachable"}


def test_capacity_is_told_from_what_prometheus_and_the_ledger_have(gate: Gate) -> None:
    done = vdbmon(gate, "capacity", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    (host,) = document["hosts"]
    assert (host["host"], host["closed"]) == (HOST, [])
    assert host["dimensions"]["memory"]["total"] == host["dimensions"]["memory"]["free"] == 8 * GIB
    assert document["error"] is None
    assert document["forecast"]["memory"]["full_at"] is None
    assert "days of history" in vdbmon(gate, "capacity").stdout
    fits = json.loads(vdbmon(gate, "capacity", "--what-if", "memory=3GiB,cpus=0.5", "--json").stdout)
    assert (fits["total"], fits["runs_out_first"]) == (2, {"disk": 1, "memory": 1})
    assert json.loads(vdbmon(gate, "capacity", "--consolidation", "--json").stdout)["instances"] == 0


def test_batch_is_planned_as_a_whole_and_shown_before_anything_is_done(gate: Gate) -> None:
    batch = gate.folder / "batch.toml"
    one = '[[containers]]\nname = "b{}"\nsource = "demo"\nmemory = "3GiB"\ncpus = 0.5\ndisk = "1GiB"\n'
    batch.write_text("".join(one.format(number) for number in range(3)))
    done = vdbmon(gate, "place", "--batch", str(batch), "--dry-run", "--json")
    assert done.returncode == 3
    plan = json.loads(done.stdout)
    schema("plan").validate(plan)
    assert plan["launches"] is None
    assert [item["host"] for item in plan["assignments"]] == [HOST, HOST]
    (refused,) = plan["refused"]
    assert [reason["code"] for reason in refused["verdicts"][0]["reasons"]] == ["capacity.memory"]
    shown = vdbmon(gate, "place", "--batch", str(batch), "--dry-run").stdout
    assert "place 2 of 3 on 1 of 1 hosts" in shown
    assert vdbmon(gate, "ps").stdout == "nothing is placed\n"
    assert vdbmon(gate, "plan", "drain", HOST).stdout == f"nothing of vdbmon's runs on {HOST}\n"


def test_batch_tells_what_came_of_each_launch(gate: Gate) -> None:
    batch = gate.folder / "batch.toml"
    batch.write_text('[[containers]]\nname = "b1"\nsource = "demo"\nmemory = "64MiB"\ndisk = "16MiB"\n')
    done = vdbmon(gate, "place", "--batch", str(batch), "--json")
    assert done.returncode == 1
    plan = json.loads(done.stdout)
    schema("plan").validate(plan)
    (launch,) = plan["launches"]
    assert (launch["name"], launch["host"], launch["launched"]) == ("b1", HOST, None)
    assert "has no image" in launch["error"]
    assert f"vdbmon: {launch['error']}\n" == done.stderr


def test_what_is_to_start_later_is_not_launched_now(gate: Gate) -> None:
    later = (datetime.now(UTC) + timedelta(hours=2)).isoformat(timespec="minutes")
    sizes = ("--disk", "16MiB", "--memory", "64MiB")
    done = vdbmon(gate, "place", "b1", "--source", "demo", *sizes, "--not-before", later)
    assert done.returncode == 3
    assert "b1 was not launched: it is to start at" in done.stderr
    assert "start at" in done.stdout
    assert vdbmon(gate, "ps").stdout == "nothing is placed\n"
