"""What the agent can be told, with the defaults; `vdbmon.config` fills it from the TOML file.

Words are telegraf's where the meaning is the same (`interval`, `metric_batch_size`, `urls`, `organization`, `bucket`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field

from collector.quantities import Seconds

DEFAULT_PROCESS_GROUPS = (
    "mariadbd",
    "mysqld",
    "mariadb-backup",
    "mariabackup",
    "xtrabackup",
    "mariadb-dump",
    "mysqldump",
    "mydumper",
    "zstd",
    "sshd",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluxV2Settings:
    """One InfluxDB v2 write endpoint.

    Attributes:
        urls: exactly one, in a list because telegraf writes it so; a second endpoint is a section of its own.
        token_file: file of mode 0600 that holds the token; None where the endpoint asks for none.
    """

    urls: Annotated[tuple[str, ...], Field(min_length=1, max_length=1)]
    organization: str = "vdbmon"
    bucket: str = "vdbmon"
    token_file: Path | None = None
    timeout: Seconds = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSettings:
    """Where samples are pushed to, besides being served on `/metrics`."""

    influxdb_v2: tuple[InfluxV2Settings, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings:
    """Process names (`comm`) that get a group of their own; all others are counted as `other`."""

    groups: tuple[str, ...] = DEFAULT_PROCESS_GROUPS


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerSettings:
    """The local engine.

    Attributes:
        address: None for DOCKER_HOST, else the usual socket.
        root: where its data root is seen by the agent; None to ask the engine, and /var/lib/docker until it answers.
    """

    address: str | None = None
    root: Path | None = None
    timeout: Seconds = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OvsSettings:
    """Open vSwitch on this host.

    Attributes:
        db_socket: of its database; the sockets and pid files of its daemons lie beside it.
        timeout: seconds that a daemon may take for one answer.
        max_interfaces: interfaces that get series at the most; the others are counted.
    """

    db_socket: Path = Path("/var/run/openvswitch/db.sock")
    timeout: Seconds = 1.0
    max_interfaces: int = 500

    @property
    def run_dir(self) -> Path:
        """Where Open vSwitch keeps its sockets; its start scripts make it, so a host without it has none."""
        return self.db_socket.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSettings:
    """Settings of single inputs."""

    process: ProcessSettings = field(default_factory=ProcessSettings)
    docker: DockerSettings = field(default_factory=DockerSettings)
    ovs: OvsSettings = field(default_factory=OvsSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """The agent on one host.

    Attributes:
        listen: address and port of `/metrics`.
        interval: how often the push outputs get a collection, and how often slow inputs run.
        min_age: results of fast inputs younger than this are shared between scrapes and pushes.
        metric_batch_size: points of one write at the most.
        metric_buffer_limit: points that wait for an output at the most; the oldest are dropped and counted.
        procfs: where the host's /proc is.
        cgroupfs: where the host's cgroup file systems are.
    """

    listen: str = "127.0.0.1:9273"
    interval: Seconds = 10.0
    min_age: Seconds = 1.0
    metric_batch_size: int = 1000
    metric_buffer_limit: int = 100_000
    procfs: Path = Path("/proc")
    cgroupfs: Path = Path("/sys/fs/cgroup")
