"""What the agent can be told, with the defaults; `vdbmon.config` fills it from the TOML file.

Words are telegraf's where the meaning is the same (`interval`, `metric_batch_size`, `urls`, `organization`, `bucket`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from collector.constant_tags import TagValues
from collector.filters import SelectorSettings
from collector.quantities import Bytes, Delay, Seconds
from collector.urls import split_url


class DataFormat(StrEnum):
    """What a command's output is; telegraf's words."""

    INFLUX = "influx"
    PROMETHEUS = "prometheus"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonSettings(SelectorSettings):
    """What every input has.

    Its filters decide what is in `/metrics` and in all outputs (`collector.sample_filter`).

    Attributes:
        tags: put on all series of this input, as labels and as tags; what the input says itself goes before.
    """

    tags: TagValues = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedSettings(CommonSettings):
    """What an input has that need not be in every collection.

    Attributes:
        interval: from one gathering to the next; in between, its last result is given again. None for a gathering in
            every collection.
    """

    interval: Seconds | None = None


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
class ProcessSettings(TimedSettings):
    """Groups of processes; the first that fits counts, and what fits none is counted as `other`."""

    groups: tuple[ProcessGroup, ...] = DEFAULT_PROCESS_GROUPS


def check_engine_address(text: str) -> str:
    """The address itself.

    Raises:
        ValueError: no address of a Docker Engine that can be spoken to from here.
    """
    try:
        if not text.startswith("unix:///"):
            split_url(re.sub("^tcp:", "http:", text))
    except ValueError as error:
        raise ValueError("no address of an engine; write unix:///var/run/docker.sock or tcp://host:port") from error
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerSettings(TimedSettings):
    """The local engine.

    Attributes:
        address: as `unix:///var/run/docker.sock`; None for DOCKER_HOST, else the usual socket.
        root: where its data root is seen by the agent; None to ask the engine, and /var/lib/docker until it answers.
        docker_label_include: Docker labels that become labels `container_label_<name>` of the container's series on
            `/metrics`, as cAdvisor has them all; each multiplies series where its values change.
        timeout: for one answer of the engine.
    """

    address: Annotated[str, AfterValidator(check_engine_address)] | None = None
    root: Path | None = None
    timeout: Seconds = 5.0
    docker_label_include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OvsSettings(TimedSettings):
    """Open vSwitch on this host.

    Attributes:
        db_socket: of its database; the sockets and pid files of its daemons lie beside it.
        timeout: for one answer of a daemon.
        max_interfaces: interfaces that get series at the most; the others are counted.
    """

    db_socket: Path = Path("/var/run/openvswitch/db.sock")
    timeout: Seconds = 1.0
    max_interfaces: Annotated[int, Field(ge=1)] = 500

    @property
    def run_dir(self) -> Path:
        """Where Open vSwitch keeps its sockets; its start scripts make it, so a host without it has none."""
        return self.db_socket.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeInputSettings(TimedSettings):
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
class JobSettings(TimedSettings):
    """Metrics that jobs write.

    Attributes:
        volumes_dir: where sized volumes are; None for the `dir` of `[volumes]`.
    """

    volumes_dir: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecSettings(CommonSettings):
    """Commands that print metrics.

    Attributes:
        commands: each a text that is split as a shell would, or a list of program and arguments; there is no shell.
        data_format: `influx` (line protocol) or `prometheus` (its text format).
        timeout: a command may run so long.
        interval: from one run to the next.
        name_prefix: put before every name.
        alias: the name that labels the series of the command; None for the program's.
    """

    commands: Annotated[tuple[str | tuple[str, ...], ...], Field(min_length=1)]
    data_format: DataFormat = DataFormat.INFLUX
    timeout: Seconds = 5.0
    interval: Seconds = 60.0
    name_prefix: str = ""
    alias: str | None = None

    def __post_init__(self) -> None:
        if self.timeout > self.interval:
            raise ValueError(f"timeout = {self.timeout:g} s is above interval = {self.interval:g} s; lower it")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSettings:
    """The inputs, by their names.

    Attributes:
        host: the host: CPUs, memory, disks, file systems, network, pressure.
        containers: which containers run; the others read what it found, so it is in every collection.
        cgroup: CPU, memory, block I/O and limits of containers.
        network: what containers send and receive.
        lxcfs: which containers have lxcfs, and whether it answers.
        internal: what the agent costs and how its inputs and outputs fare.
        tables: tables of the host that fill up: connections, addresses, descriptors.
    """

    host: TimedSettings = field(default_factory=TimedSettings)
    containers: CommonSettings = field(default_factory=CommonSettings)
    cgroup: TimedSettings = field(default_factory=TimedSettings)
    network: TimedSettings = field(default_factory=TimedSettings)
    process: ProcessSettings = field(default_factory=ProcessSettings)
    volume: VolumeInputSettings = field(default_factory=VolumeInputSettings)
    job: JobSettings = field(default_factory=JobSettings)
    lxcfs: TimedSettings = field(default_factory=TimedSettings)
    docker: DockerSettings = field(default_factory=DockerSettings)
    ovs: OvsSettings = field(default_factory=OvsSettings)
    tables: TimedSettings = field(default_factory=TimedSettings)
    internal: CommonSettings = field(default_factory=CommonSettings)
    exec: tuple[ExecSettings, ...] = ()

    def timed(self) -> dict[str, TimedSettings]:
        """The settings of the inputs that may have an interval of their own, by name."""
        return {name: section for name, section in self.common().items() if isinstance(section, TimedSettings)}

    def common(self) -> dict[str, CommonSettings]:
        """The settings of every input but exec, by name; each command of exec has settings of its own."""
        sections = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: section for name, section in sections.items() if isinstance(section, CommonSettings)}


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """The agent on one host. The words of telegraf mean what they mean there.

    Attributes:
        listen: address and port of `/metrics`.
        web_config_file: TLS and basic authentication of `/metrics`, in the format of exporter-toolkit; None for none.
        interval: from one collection for the push outputs to the next; Prometheus' scrapes have their own.
        round_interval: collect at whole multiples of the interval: series of all hosts then line up.
        collection_jitter: a collection is so late at the most, by chance; spreads the load of a fleet.
        collection_offset: every collection is so late.
        min_age: results younger than this are shared between scrapes and pushes.
        flush_interval: from one write of an output to the next; a full batch is written at once.
        flush_jitter: a write is so late at the most, by chance.
        metric_batch_size: points of one write at the most.
        metric_buffer_limit: points that wait for an output at the most, besides buffer_disk_limit; None for no limit.
        buffer_directory: where points wait, in a folder for each output.
        buffer_disk_limit: what an output may take there; the oldest points are dropped and counted.
        procfs: where the host's /proc is.
        sysfs: where the host's /sys is.
        cgroupfs: where the host's cgroup file systems are.
    """

    listen: str = "127.0.0.1:9273"
    web_config_file: Path | None = None
    interval: Seconds = 10.0
    round_interval: bool = True
    collection_jitter: Delay = 0.0
    collection_offset: Delay = 0.0
    min_age: Seconds = 1.0
    flush_interval: Seconds = 10.0
    flush_jitter: Delay = 0.0
    metric_batch_size: Annotated[int, Field(ge=1)] = 1000
    metric_buffer_limit: Annotated[int, Field(ge=1)] | None = None
    buffer_directory: Path = Path("/var/lib/vdbmon/spool")
    buffer_disk_limit: Bytes = 256 * 2**20
    procfs: Path = Path("/proc")
    sysfs: Path = Path("/sys")
    cgroupfs: Path = Path("/sys/fs/cgroup")

    def __post_init__(self) -> None:
        late = self.collection_jitter + self.collection_offset
        if late >= self.interval:
            raise ValueError(
                f"collection_jitter and collection_offset add up to {late:g} s, not below interval = "
                f"{self.interval:g} s; lower them"
            )
        if self.min_age > self.interval:
            raise ValueError(
                f"min_age = {self.min_age:g} s is above interval = {self.interval:g} s: pushes would repeat each "
                "other; lower it"
            )
        if self.flush_jitter > self.flush_interval:
            raise ValueError(
                f"flush_jitter = {self.flush_jitter:g} s is above flush_interval = {self.flush_interval:g} s; lower it"
            )
        if self.metric_buffer_limit is not None and self.metric_batch_size > self.metric_buffer_limit:
            raise ValueError(
                f"metric_batch_size = {self.metric_batch_size} is above metric_buffer_limit = "
                f"{self.metric_buffer_limit}: a batch would never fill; lower it"
            )
