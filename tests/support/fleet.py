"""One host of a fleet as the scheduler sees it: metrics that a test sets, a real Prometheus, a source."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.decision.resources import ResourceClass
from orchestrator.settings import (
    Endpoint,
    FleetSettings,
    HostSettings,
    Inventory,
    LedgerSettings,
    Reach,
    SourceSettings,
    VolumeSettings,
)
from tests.support.servers import Server, prometheus
from tests.support.web import serving_metrics

HOST = "db1"
GIB = 2**30
MIB = 2**20
SMALL = {
    ResourceClass.SLOTS: 1,
    ResourceClass.CPU: 300,
    ResourceClass.MEMORY: 64 * MIB,
    ResourceClass.DISK: 16 * MIB,
    ResourceClass.READ_BPS: 20_000_000,
    ResourceClass.WRITE_BPS: 10_000_000,
}

RULES = """
groups:
  - name: gate
    interval: 1s
    rules:
      - {alert: Watchdog, expr: vector(1)}
      - alert: HostFilesystemFull
        expr: test_filesystem_full == 1
        labels: {gate: place}
        annotations: {summary: "/ of {{ $labels.host }} is full"}
      - {alert: SlowToFire, expr: test_slow == 1, for: 1h, labels: {gate: place}}
      - {alert: NobodysAlert, expr: vector(1) and on () (test_nobody == 1), labels: {gate: place}}
"""
CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: [{alertmanagers}]}}]}}]}}
scrape_configs:
  - job_name: vdbmon
    honor_labels: true
    static_configs: [{{targets: ["127.0.0.1:{port}"], labels: {{host: {host}}}}}]
"""


@dataclass
class Exporter:
    """Serves what an agent would, with the values that a test gives; `extra` are whole series by name."""

    port: int = 0
    disk: str = "/dev/vda"
    memory_available: int = 8 * GIB
    extra: dict[str, float] = field(default_factory=dict)
    clock_offset: float = 0.0

    def reset(self) -> None:
        """Serve again what it served at first."""
        fresh = Exporter()
        self.disk, self.memory_available, self.clock_offset = fresh.disk, fresh.memory_available, fresh.clock_offset
        self.extra.clear()

    def text(self) -> str:
        """The exposition."""
        now = time.time() + self.clock_offset
        values: dict[str, float] = {
            "node_time_seconds": now,
            'vdbmon_input_last_success_timestamp_seconds{input="cgroup"}': now,
            'vdbmon_input_last_success_timestamp_seconds{input="host"}': now,
            'vdbmon_input_up{input="cgroup"}': 1,
            "node_memory_MemAvailable_bytes": self.memory_available,
            f'node_filesystem_avail_bytes{{device="{self.disk}",mountpoint="/",fstype="ext4"}}': 100 * GIB,
            'node_disk_read_bytes_total{device="vda"}': 1,
            'node_disk_written_bytes_total{device="vda"}': 1,
            **self.extra,
        }
        return "".join(f"{name} {value}\n" for name, value in values.items())


@contextlib.contextmanager
def exporter() -> Iterator[Exporter]:
    """An exporter on a free port."""
    served = Exporter()
    with serving_metrics(lambda _: served.text()) as port:
        served.port = port
        yield served


@contextlib.contextmanager
def gate_prometheus(folder: Path, target: Exporter, *, alertmanager: str = "") -> Iterator[Server]:
    """A Prometheus that scrapes the exporter and evaluates the rules every second."""
    (folder / "rules.yml").write_text(RULES)
    config = CONFIG.format(port=target.port, host=HOST, alertmanagers=f'"{alertmanager}"' if alertmanager else "")
    with prometheus(folder, config) as server:
        yield server


@contextlib.contextmanager
def source(folder: Path) -> Iterator[SourceSettings]:
    """A source whose socket, data directory and credentials are there, and no server behind them."""
    folder.mkdir()
    (folder / "data").mkdir()
    credentials = folder / "source.cnf"
    credentials.touch(mode=0o600)
    credentials.write_text("[client]\nuser=backup\npassword=secret-of-the-test\n")
    path = folder / "mysqld.sock"
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
        yield SourceSettings(
            name="demo",
            reach=Reach.LOCAL,
            address=f"unix://{path}",
            credentials_file=credentials,
            host=HOST,
            data_dir=folder / "data",
        )


def fleet(folder: Path, *, docker: str, prometheus_url: str, demo: SourceSettings) -> FleetSettings:
    """A fleet of the one host, with ledger and volumes in the folder."""
    inventory = Inventory(cpus=2, memory=8 * GIB, disk=20 * GIB, read_bps=200_000_000, write_bps=200_000_000)
    return FleetSettings(
        prometheus=Endpoint(url=prometheus_url),
        ledger=LedgerSettings(url=f"sqlite:///{folder}/state/ledger.db"),
        volumes=VolumeSettings(dir=folder / "volumes"),
        hosts=(HostSettings(name=HOST, agent="http://127.0.0.1:9", inventory=inventory, docker=docker),),
        sources=(demo,),
    )
