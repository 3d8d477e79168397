"""An alert's whole way: a scraped value, Prometheus, Alertmanager, a webhook. All of them real, on loopback."""

import json
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, TypeVar

import pytest
import stamina
import yaml

from alerts.alertmanager import alertmanager_file
from alerts.render import rule_file
from alerts.rules import rule_groups
from alerts.settings import AlertingSettings, MaintenanceWindow, Told, with_webhook
from tests.support.servers import free_port
from tests.support.web import TEXT, send, serving

Found = TypeVar("Found")
DEADLINE = 60.0


def wait_for(find: Callable[[], Found | None]) -> Found:
    """What `find` returns as soon as it is not None; OSError means not yet."""
    for attempt in stamina.retry_context(
        on=(LookupError, OSError), attempts=None, timeout=DEADLINE, wait_initial=0.05, wait_max=0.3, wait_exp_base=1.5
    ):
        with attempt:
            found = find()
            if found is None:
                raise LookupError
            return found
    raise AssertionError


class Peer:
    """A web server that is the scraped agent (GET) and the webhook (POST) in one."""

    def __init__(self) -> None:
        self.address = ""
        self.exposition = ""
        self.received: list[dict[str, Any]] = []

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """The page to who asks; nothing to who tells."""
        if handler.command == "POST":
            self.received.append(json.loads(handler.rfile.read(int(handler.headers["Content-Length"]))))
        send(handler, self.exposition.encode() if handler.command == "GET" else b"", TEXT)

    def message(self, alertname: str, status: str) -> dict[str, Any] | None:
        """The first message about an alert with this status."""
        matching = (m for m in self.received if m["status"] == status and m["groupLabels"]["alertname"] == alertname)
        return next(matching, None)


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    with serving(peer.answer) as port:
        peer.address = f"127.0.0.1:{port}"
        yield peer


@contextmanager
def running(*command: str, log: Path, ready: str) -> Iterator[None]:
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process:
        try:
            wait_for(lambda: urllib.request.urlopen(ready, timeout=2).status)
            yield
        finally:
            process.terminate()


@pytest.fixture
def windows() -> tuple[MaintenanceWindow, ...]:
    """Maintenance windows; a test may have others."""
    return ()


@pytest.fixture
def alertmanager(peer: Peer, windows: tuple[MaintenanceWindow, ...], tmp_path: Path) -> Iterator[str]:
    """Address of an Alertmanager with the generated configuration, its waiting times cut short."""
    settings = with_webhook(AlertingSettings(maintenance=windows), f"http://{peer.address}/alerts")
    document = yaml.safe_load(alertmanager_file(settings))
    for route in (document["route"], *document["route"]["routes"]):
        route |= {"group_wait": "0s", "group_interval": "1s"}
    config = tmp_path / "alertmanager.yml"
    config.write_text(yaml.safe_dump(document))
    address = f"127.0.0.1:{free_port()}"
    with running(
        "prometheus-alertmanager",
        f"--config.file={config}",
        f"--storage.path={tmp_path / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
        log=tmp_path / "alertmanager.log",
        ready=f"http://{address}/-/ready",
    ):
        yield address


@pytest.fixture
def prometheus(peer: Peer, alertmanager: str, tmp_path: Path) -> Iterator[str]:
    """Address of a Prometheus with the generated rules, cut short like Alertmanager's configuration."""
    rules = yaml.safe_load(rule_file(rule_groups()))
    for group in rules["groups"]:
        group["interval"] = "1s"
        for rule in group["rules"]:
            rule |= {key: "1s" for key in ("for", "keep_firing_for") if key in rule}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    config = {
        "global": {"scrape_interval": "1s"},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [
            {
                "job_name": "vdbmon",
                "honor_labels": True,
                "static_configs": [{"targets": [peer.address], "labels": {"host": "db1"}}],
            }
        ],
    }
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    with running(
        "prometheus",
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'prometheus'}",
        f"--web.listen-address={address}",
        # What fires before Alertmanager is discovered (5 s) is sent again only after this, by default a minute.
        "--rules.alert.resend-delay=1s",
        log=tmp_path / "prometheus.log",
        ready=f"http://{address}/-/ready",
    ):
        yield address


def memory(available: int) -> str:
    return f'node_memory_MemTotal_bytes{{host="db1"}} 100\nnode_memory_MemAvailable_bytes{{host="db1"}} {available}\n'


def alerts_of(prometheus: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"http://{prometheus}/api/v1/alerts", timeout=5) as answer:
        alerts: list[dict[str, Any]] = json.load(answer)["data"]["alerts"]
        return alerts


def test_an_alert_travels_to_the_webhook_and_is_resolved(peer: Peer, prometheus: str) -> None:
    peer.exposition = memory(available=3)
    fired = wait_for(lambda: peer.message("HostMemoryLow", "firing"))
    assert fired["receiver"] == "warning"
    (alert,) = fired["alerts"]
    assert alert["labels"] == {"alertname": "HostMemoryLow", "host": "db1", "severity": "warning", "gate": "place"}
    assert alert["annotations"]["summary"] == "db1 uses 97% of its memory"
    assert alert["annotations"]["runbook"] == "alerts/runbooks/HostMemoryLow.md"
    # The scheduler sees the same alert in Prometheus, whatever Alertmanager does with it.
    gates = [alert for alert in alerts_of(prometheus) if alert["labels"].get("gate") == "place"]
    assert [(gate["labels"]["alertname"], gate["state"]) for gate in gates] == [("HostMemoryLow", "firing")]

    peer.exposition = memory(available=60)
    resolved = wait_for(lambda: peer.message("HostMemoryLow", "resolved"))
    assert resolved["alerts"][0]["labels"] == alert["labels"]
    heartbeat = wait_for(lambda: peer.message("Watchdog", "firing"))
    assert heartbeat["receiver"] == "heartbeat"


def post_alerts(alertmanager: str, *labels: dict[str, str]) -> None:
    body = json.dumps([{"labels": item} for item in labels]).encode()
    headers = {"Content-Type": "application/json"}
    urllib.request.urlopen(
        urllib.request.Request(f"http://{alertmanager}/api/v2/alerts", body, headers), timeout=5
    ).close()


def test_a_gone_agent_holds_back_pages_of_its_host_only(peer: Peer, alertmanager: str) -> None:
    post_alerts(alertmanager, {"alertname": "AgentGone", "host": "db1", "severity": "critical"})
    wait_for(lambda: peer.message("AgentGone", "firing"))
    post_alerts(
        alertmanager,
        {"alertname": "ContainerOOMKilled", "host": "db1", "name": "b1", "severity": "critical"},
        {"alertname": "ContainerOOMKilled", "host": "db2", "name": "b2", "severity": "critical"},
        {"alertname": "ContainerCPUThrottled", "host": "db2", "name": "b2", "severity": "info"},
    )
    wait_for(lambda: peer.message("ContainerOOMKilled", "firing"))

    def states() -> dict[str, str] | None:
        with urllib.request.urlopen(f"http://{alertmanager}/api/v2/alerts", timeout=5) as answer:
            alerts = json.load(answer)
        found = {f"{a['labels']['alertname']} {a['labels']['host']}": a["status"]["state"] for a in alerts}
        return None if "unprocessed" in found.values() else found

    assert wait_for(states) == {
        "AgentGone db1": "active",
        "ContainerOOMKilled db1": "suppressed",
        "ContainerOOMKilled db2": "active",
        "ContainerCPUThrottled db2": "active",
    }
    assert {message["groupLabels"]["alertname"] for message in peer.received} == {"AgentGone", "ContainerOOMKilled"}
    assert [m["groupLabels"]["host"] for m in peer.received if m["groupLabels"]["alertname"] != "AgentGone"] == ["db2"]


def test_a_daemon_that_hangs_is_told_of_and_not_what_follows_from_it(peer: Peer, alertmanager: str) -> None:
    critical, warning = {"host": "db1", "severity": "critical"}, {"host": "db1", "severity": "warning"}
    post_alerts(
        alertmanager,
        {"alertname": "DockerDaemonHung", **critical},
        {"alertname": "DockerDaemonNotAnswering", **critical},
        {"alertname": "DockerDaemonSlow", "endpoint": "containers", **warning},
        {"alertname": "DockerDaemonNotAnswering", **critical, "host": "db2"},
    )
    wait_for(lambda: peer.message("DockerDaemonHung", "firing"))
    wait_for(lambda: peer.message("DockerDaemonNotAnswering", "firing"))
    post_alerts(alertmanager, {"alertname": "HostDiskLow", "device": "sda", **warning})
    wait_for(lambda: peer.message("HostDiskLow", "firing"))
    told = {(message["groupLabels"]["alertname"], message["groupLabels"]["host"]) for message in peer.received}
    assert told == {("DockerDaemonHung", "db1"), ("DockerDaemonNotAnswering", "db2"), ("HostDiskLow", "db1")}


class TestMaintenance:
    """In a window that is always open for one host."""

    @pytest.fixture
    def windows(self) -> tuple[MaintenanceWindow, ...]:
        return (
            MaintenanceWindow(name="db1 moves", start="00:00", end="24:00", hosts=("db1",), severities=(Told.WARNING,)),
        )

    def test_a_window_mutes_what_it_names_and_no_more(self, peer: Peer, alertmanager: str) -> None:
        post_alerts(
            alertmanager,
            {"alertname": "HostDiskLow", "host": "db1", "severity": "warning"},
            {"alertname": "HostDiskLow", "host": "db2", "severity": "warning"},
            {"alertname": "BackupFailed", "host": "db1", "severity": "critical"},
        )
        wait_for(lambda: peer.message("BackupFailed", "firing"))
        wait_for(lambda: peer.message("HostDiskLow", "firing"))
        told = {(message["groupLabels"]["alertname"], message["groupLabels"]["host"]) for message in peer.received}
        assert told == {("BackupFailed", "db1"), ("HostDiskLow", "db2")}
