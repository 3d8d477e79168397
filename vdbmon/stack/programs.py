"""The programs of a local stack: their command lines, the addresses they listen on, and how to see that they are ready.

Addresses come from the one TOML file, so that whoever reads a program and the program itself can't disagree.
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path

from collector.errors import ConfigError
from collector.ovsdb import VSWITCHD
from collector.urls import split_url
from vdbmon.config import Config
from vdbmon.stack.layout import Layout

LOOPBACK = {"127.0.0.1", "localhost"}
RETENTION = "35d"
"""The forecast of `vdbmon capacity` looks back four weeks."""

VICTORIA_RETENTION_MONTHS = "1"
_VDBMON = str(Path(sys.executable).with_name("vdbmon"))


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address that a program of the stack listens on, and the key of the TOML file that says so."""

    host: str
    port: int
    key: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Program:
    """One program under supervisor.

    Attributes:
        command: argument vector.
        address: where it listens; None for those that have a socket.
        ready: path that answers 200 as soon as it works.
        priority: programs start in this order and stop in the reverse one.
        stop_seconds: how long it may take to end before it is killed.
    """

    name: str
    command: tuple[str, ...]
    priority: int
    address: Address | None = None
    ready: str = ""
    stop_seconds: int = 10


AGENT, SERVE, PROMETHEUS, ALERTMANAGER = "agent", "serve", "prometheus", "alertmanager"
VICTORIA_METRICS, DOCKERD = "victoria-metrics", "dockerd"
OVSDB_SERVER = "ovsdb-server"


def stack_programs(config: Config, layout: Layout, *, own_dockerd: bool, own_switch: bool) -> tuple[Program, ...]:
    """Every program that the local stack runs.

    Raises:
        ConfigError: `stack.address`, an address that can't be served on this machine's loopback.
    """
    addresses = stack_addresses(config, layout.config)
    programs = (
        _victoria_metrics(addresses[VICTORIA_METRICS], layout),
        _alertmanager(addresses[ALERTMANAGER], layout),
        _serve(addresses[SERVE], layout),
        _prometheus(addresses[PROMETHEUS], layout),
        _agent(addresses[AGENT], layout),
    )
    return (*([_dockerd()] if own_dockerd else []), *(_switch(layout) if own_switch else ()), *programs)


def stack_addresses(config: Config, file: Path) -> dict[str, Address]:
    """Address of each program by its name.

    Raises:
        ConfigError: `stack.address`, one is missing, isn't on loopback, or is given twice.
    """
    outputs = config.outputs.influxdb_v2
    if not outputs:
        raise ConfigError(
            "stack.address",
            f"{file}: there is no outputs.influxdb_v2, so VictoriaMetrics has no address",
            'add [[outputs.influxdb_v2]] with urls = ["http://127.0.0.1:8428"]',
        )
    addresses = {
        AGENT: _address(f"http://{config.agent.listen}", "agent.listen", file),
        SERVE: _address(f"http://{config.serve.listen}", "serve.listen", file),
        PROMETHEUS: _address(config.prometheus.url, "prometheus.url", file),
        ALERTMANAGER: _address(config.alertmanager.url, "alertmanager.url", file),
        VICTORIA_METRICS: _address(outputs[0].urls[0], "outputs.influxdb_v2[0].urls", file),
    }
    by_port: dict[int, Address] = {}
    for address in addresses.values():
        twin = by_port.setdefault(address.port, address)
        if twin is not address:
            raise ConfigError(
                "stack.address", f"{file}: {twin.key} and {address.key} both name port {address.port}", "change one"
            )
    return addresses


def _address(url: str, key: str, file: Path) -> Address:
    with contextlib.suppress(ValueError):
        parts = split_url(url)
        if parts.scheme == "http" and parts.hostname in LOOPBACK and parts.port:
            return Address(host=parts.hostname, port=parts.port, key=key)
    raise ConfigError(
        "stack.address",
        f"{file}: {key} = {url!r} can't be served by the local stack",
        "it needs http, a loopback address and a port; for servers elsewhere run the agent without the stack",
    )


def _dockerd() -> Program:
    # Live-restore lets containers outlive a restart of the daemon; a daemon with it can't join a swarm.
    return Program(name=DOCKERD, command=("dockerd", "--live-restore"), priority=10, stop_seconds=30)


def _switch(layout: Layout) -> tuple[Program, ...]:
    run_dir = layout.ovs_socket.parent
    # OVS_RUNDIR alone moves all sockets: no option does it for those of the bridges.
    environment = ("env", f"OVS_RUNDIR={run_dir}")
    database = (OVSDB_SERVER, str(layout.ovs_database), f"--remote=punix:{layout.ovs_socket}", "--pidfile")
    return (
        Program(name=OVSDB_SERVER, command=(*environment, *database), priority=10),
        Program(name=VSWITCHD, command=(*environment, VSWITCHD, f"unix:{layout.ovs_socket}", "--pidfile"), priority=15),
    )


def _victoria_metrics(address: Address, layout: Layout) -> Program:
    return Program(
        name=VICTORIA_METRICS,
        command=(
            "victoria-metrics",
            f"-storageDataPath={layout.data(VICTORIA_METRICS)}",
            f"-httpListenAddr={address}",
            f"-retentionPeriod={VICTORIA_RETENTION_MONTHS}",
            # The defaults take 60 % of the memory for caches, and hide what is younger than 30 s.
            "-memory.allowedPercent=10",
            "-search.latencyOffset=0s",
        ),
        priority=20,
        address=address,
        ready="/health",
    )


def _alertmanager(address: Address, layout: Layout) -> Program:
    return Program(
        name=ALERTMANAGER,
        command=(
            "prometheus-alertmanager",
            f"--config.file={layout.alertmanager_conf}",
            f"--storage.path={layout.data(ALERTMANAGER)}",
            f"--web.listen-address={address}",
            "--cluster.listen-address=",
        ),
        priority=20,
        address=address,
        ready="/-/ready",
    )


def _prometheus(address: Address, layout: Layout) -> Program:
    return Program(
        name=PROMETHEUS,
        command=(
            "prometheus",
            f"--config.file={layout.prometheus_conf}",
            f"--storage.tsdb.path={layout.data(PROMETHEUS)}",
            f"--storage.tsdb.retention.time={RETENTION}",
            f"--web.listen-address={address}",
            "--web.enable-lifecycle",
            # With the default of 1m an alert that is sent before Alertmanager is discovered is lost for a minute.
            "--rules.alert.resend-delay=1s",
        ),
        priority=30,
        address=address,
        ready="/-/ready",
        stop_seconds=20,
    )


def _agent(address: Address, layout: Layout) -> Program:
    return Program(
        name=AGENT,
        command=(_VDBMON, "agent", "run", "--config", str(layout.config)),
        priority=40,
        address=address,
        ready="/metrics",
    )


def _serve(address: Address, layout: Layout) -> Program:
    return Program(
        name=SERVE,
        command=(_VDBMON, "serve", "--config", str(layout.config)),
        priority=25,  # before Prometheus, which asks it for its targets
        address=address,
        ready="/-/healthy",
        stop_seconds=20,
    )
