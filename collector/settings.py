"""What the agent can be told, with the defaults; `vdbmon.config` fills it from the TOML file.

Words are telegraf's where the meaning is the same (`interval`, `metric_batch_size`, `urls`, `organization`, `bucket`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field

from collector.quantities import Bytes, Seconds


class DataFormat(StrEnum):
    """What a command's output is; telegraf's words."""

    INFLUX = "influx"
    PROMETHEUS = "prometheus"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessGroup:
    """Processes of a container that are counted together; the words are those of telegraf's inputs.procstat.

    Attributes:
        name: value of the label `group`.
        exe: regular expression that the whole process name (`comm`, 15 bytes at most) must match.
        pattern: regular expression that the command line must begin with, words separated by single blanks. For what a
            name does not tell, as scripts of an interpreter; it costs one more read in the life of a process.
    """

    name: Annotated[str, Field(min_length=1)]
    exe: re.Pattern[str] | None = None
    pattern: re.Pattern[str] | None = None

    def __post_init__(self) -> None:
        if self.exe is None and self.pattern is None:
            raise ValueError(f"group {self.name!r} has neither exe nor pattern")


def _group(name: str, exe: str | None = None) -> ProcessGroup:
    return ProcessGroup(name=name, exe=re.compile(exe or re.escape(name)))


DEFAULT_PROCESS_GROUPS = (
    _group("mariadbd"),
    _group("mysqld"),
    _group("mariadb-backup", "mariadb-backup|mariabackup|mbstream"),
    _group("xtrabackup", "xtrabackup|xbstream"),
    _group("mariadb-dump"),
    _group("mysqldump"),
    _group("mydumper", "mydumper|myloader"),
    _group("zstd", "p?zstd"),
    _group("sshd", "sshd(?:-session|-auth)?"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings:
    """Groups of processes; the first that fits counts, and what fits none is counted as `other`."""

    groups: tuple[ProcessGroup, ...] = DEFAULT_PROCESS_GROUPS


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerSettings:
    """The local engine.

    Attributes:
        address: None for DOCKER_HOST, else the usual socket.
        root: where its data root is seen by the agent; None to ask the engine, and /var/lib/docker until it answers.
        docker_label_include: Docker labels that become labels `container_label_<name>` of the container's series on
            `/metrics`, as cAdvisor has them all; each multiplies series where its values change.
    """

    address: str | None = None
    root: Path | None = None
    timeout: Seconds = 5.0
    docker_label_include: tuple[str, ...] = ()


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
class VolumeInputSettings:
    """Volumes of containers.

    Attributes:
        du: what is measured by du, as `container:destination` with shell wildcards (`dr-*:/backup`); `name:/` is what a
            container wrote outside its volumes. du reads every folder, so nothing is measured unless it is named.
        du_interval: from one round of du to the next; at least 10 minutes.
        du_timeout: for a whole round.
    """

    du: tuple[str, ...] = ()
    du_interval: Annotated[Seconds, Field(ge=600)] = 600.0
    du_timeout: Seconds = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings:
    """Metrics that jobs write. `volumes_dir` is None for the `dir` of `[volumes]`."""

    volumes_dir: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecSettings:
    """Commands that print metrics.

    Attributes:
        commands: each a text that is split as a shell would, or a list of program and arguments; there is no shell.
        name_prefix: put before every name.
        alias: the name that labels the series of the command; None for the program's.
    """

    commands: Annotated[tuple[str | tuple[str, ...], ...], Field(min_length=1)]
    data_format: DataFormat = DataFormat.INFLUX
    timeout: Seconds = 5.0
    interval: Seconds = 60.0
    name_prefix: str = ""
    alias: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSettings:
    """Settings of single inputs."""

    process: ProcessSettings = field(default_factory=ProcessSettings)
    docker: DockerSettings = field(default_factory=DockerSettings)
    ovs: OvsSettings = field(default_factory=OvsSettings)
    volume: VolumeInputSettings = field(default_factory=VolumeInputSettings)
    job: JobSettings = field(default_factory=JobSettings)
    exec: tuple[ExecSettings, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """The agent on one host.

    Attributes:
        listen: address and port of `/metrics`.
        web_config_file: TLS and basic authentication of `/metrics`, in the format of exporter-toolkit; None for none.
        interval: how often the push outputs get a collection, and how often slow inputs run.
        min_age: results of fast inputs younger than this are shared between scrapes and pushes.
        flush_interval: points wait so long for a batch to be full.
        flush_jitter: a time by chance, up to this one, is added to it.
        metric_batch_size: points of one write at the most.
        metric_buffer_limit: points that wait for an output at the most; the oldest are dropped and counted.
        buffer_directory: where they wait, in a folder for each output.
        buffer_disk_limit: bytes on disk that an output may take; the oldest points are dropped and counted.
        procfs: where the host's /proc is.
        sysfs: where the host's /sys is.
        cgroupfs: where the host's cgroup file systems are.
    """

    listen: str = "127.0.0.1:9273"
    web_config_file: Path | None = None
    interval: Seconds = 10.0
    min_age: Seconds = 1.0
    flush_interval: Seconds = 10.0
    flush_jitter: Seconds | None = None
    metric_batch_size: Annotated[int, Field(ge=1)] = 1000
    metric_buffer_limit: Annotated[int, Field(ge=1)] | None = None
    buffer_directory: Path = Path("/var/lib/vdbmon/spool")
    buffer_disk_limit: Bytes = 256 * 2**20
    procfs: Path = Path("/proc")
    sysfs: Path = Path("/sys")
    cgroupfs: Path = Path("/sys/fs/cgroup")
