"""What the scheduler can be told: hosts, their inventory, sources; `vdbmon.config` fills it from the TOML file."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BeforeValidator, Field

from collector.quantities import Bytes, Delay, Seconds
from orchestrator.backup.settings import Retention, ScheduleSettings


class Reach(StrEnum):
    """How a source's bytes are reached: see docs/backup.md for which job can do with which."""

    LOCAL = "local"
    STREAM = "stream"
    REPLICA = "replica"
    SQL = "sql"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSshSettings:
    """Files of an ssh client; at a source the key's forced command is `runner send`.

    Attributes:
        key_file: private key of mode 0600, without a passphrase.
        known_hosts_file: with the server's host key.
    """

    key_file: Path
    known_hosts_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTlsSettings:
    """How a source is reached by TLS, where `runner send --listen` answers; each side shows a certificate.

    Attributes:
        ca_file: certificates to know the source by.
        cert_file: shown to the source.
        key_file: of that certificate, of mode 0600.
    """

    ca_file: Path
    cert_file: Path
    key_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptionSettings:
    """Backups are encrypted with age.

    Attributes:
        recipients_file: age public keys, one a line: yours, and a recovery key whose other half is kept elsewhere.
        identity_file: age private keys, of mode 0600; only jobs that restore see it.
    """

    recipients_file: Path
    identity_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStoreSettings:
    """How a copy gets into an object store.

    Attributes:
        credentials_file: its keys, as AWS's tools have them (shared credentials file, section `default`), of mode 0600.
        ca_file: know it by these certificates; left out for those that the image has.
    """

    credentials_file: Path
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CopySettings:
    """Where job `copy` keeps a second copy.

    Attributes:
        repository: as restic calls it: `sftp:user@host:/path` or `sftp://user@host:port//path` (with `ssh`),
            `s3:https://host/bucket/path` (with `s3`), or a folder of the host.
        password_file: of the repository, of mode 0600.
    """

    repository: str
    password_file: Path
    ssh: SourceSshSettings | None = None
    s3: ObjectStoreSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """A database to back up. All files are on the host that runs the job; secrets stand in files of mode 0600.

    Attributes:
        address: `unix:///run/mysqld/mysqld.sock` for `local`, `ssh://user@host` or `tls://host:port` for `stream`,
            `tcp://host:port` for `replica` and `sql`.
        credentials_file: MySQL option file of mode 0600; a `stream` needs it for jobs in SQL alone.
        sql_address: `tcp://host:port` for jobs in SQL, where `address` isn't one: a standby replicates from there.
        ssl_ca_file: require TLS of the server, and know it by these certificates.
        network: Docker network of jobs that need one to reach the source.
        host: the host that holds the data directory (`local`). Of any other reach the host that the source runs on, if
            it is one of [[hosts]]: nothing that reads the source is placed there.
        data_dir: the data directory on that host (`local` only).
        server_data_dir: the same directory as the server itself names it; mariadb-backup goes there.
        readers: how many jobs may read it at once; None for as many as fit.
        throttle: mariadb-backup's --throttle, pairs of reads and writes per second; None for none.
        retention: how long its backups stay; without it nothing is pruned.
    """

    name: str
    reach: Reach
    address: str
    credentials_file: Path | None = None
    sql_address: str | None = None
    ssl_ca_file: Path | None = None
    network: str = "bridge"
    host: str | None = None
    data_dir: Path | None = None
    server_data_dir: Path = Path("/var/lib/mysql")
    readers: Annotated[int, Field(gt=0)] | None = None
    throttle: Annotated[int, Field(gt=0)] | None = None
    ssh: SourceSshSettings | None = None
    tls: SourceTlsSettings | None = None
    encryption: EncryptionSettings | None = None
    copy: CopySettings | None = None
    retention: Retention | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """What a host keeps for itself: stays free whatever is placed. Cores and bytes."""

    cpus: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    memory: Bytes | None = None
    disk: Bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What a host offers to containers, per resource class; cores, bytes, bytes and operations per second.

    A class that is left out is not counted there.

    Attributes:
        cpu_ratio: how many cores may be allocated for each real one; only CPU can be stretched without harm.
    """

    slots: Annotated[int, Field(gt=0)] = 5
    cpus: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    memory: Bytes
    disk: Bytes
    read_bps: Bytes
    write_bps: Bytes
    read_iops: Annotated[int, Field(gt=0)] | None = None
    write_iops: Annotated[int, Field(gt=0)] | None = None
    network_in: Bytes | None = None
    network_out: Bytes | None = None
    cpu_ratio: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.0
    reserved: Reserved = field(default_factory=Reserved)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """How an engine at `tcp://` and vdbmon know each other: PEM files on the machine that runs the scheduler.

    Attributes:
        ca: certificates that sign the engine's own.
        cert: the client's certificate.
        key: its private key, mode 0600.
    """

    ca: Path
    cert: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SshSettings:
    """How an engine at `ssh://` and vdbmon know each other: files on the machine that runs the scheduler.

    Attributes:
        key: private key, mode 0600, without a passphrase.
        known_hosts: the host's key must be in it; None for the user's own and the system's.
    """

    key: Path
    known_hosts: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """A host of the fleet.

    Attributes:
        name: the `host` label of its series and alerts.
        docker: Engine API address: `unix:///var/run/docker.sock`, `tcp://host:2376` with `tls`, `ssh://user@host[/path]`
            with `ssh`; None for DOCKER_HOST, else the usual socket.
        agent: base URL of its agent; None where there is none: such a host is not scraped, so nothing is placed on it.
        zone: where it stands, so that a request can ask for it.
        device_class: of the disks under its volumes, in the operator's words (`ssd`, `hdd`).
        pools: address pools whose network it has.
        labels: free words that a request can ask for.
        disks: the whole disk under a folder of that host, where its agent doesn't tell it; the longest match counts.
        tls: for an engine at `tcp://`; only a loopback address does without.
        ssh: for an engine at `ssh://`.
    """

    name: str
    agent: str | None = None
    inventory: Inventory
    docker: str | None = None
    zone: str | None = None
    device_class: str | None = None
    pools: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    disks: dict[str, Path] = field(default_factory=dict)
    tls: TlsSettings | None = None
    ssh: SshSettings | None = None


class AddressRange(NamedTuple):
    """Addresses from first to last, both included."""

    first: IPv4Address
    last: IPv4Address


def parse_address_range(text: object) -> AddressRange:
    """An address (`10.20.0.5`), a range (`10.20.0.5-10.20.0.9`) or a network (`10.20.0.64/28`).

    Raises:
        ValueError: none of these, or a range that ends before it begins.
    """
    first, dash, last = (part.strip() for part in str(text).partition("-"))
    if dash:
        found = AddressRange(IPv4Address(first), IPv4Address(last))
    else:
        network = IPv4Network(first)
        found = AddressRange(network[0], network[-1])
    if found.first > found.last:
        raise ValueError(f"{text!r} ends before it begins")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """An address pool: containers get fixed addresses from it (`vdbmon place --pool NAME`). IPv4.

    Attributes:
        range: the network, as `10.20.0.0/24`.
        gateway: never given away, as are the network's own and the broadcast address.
        vlan: that carries it, 1 to 4094; None for none.
        exclude: never given away either: addresses, ranges (`10.20.0.1-10.20.0.9`), networks.
        quarantine: how long an address that was given back is left alone: caches of neighbours still know it.
    """

    name: str
    range: IPv4Network
    gateway: IPv4Address
    vlan: Annotated[int, Field(ge=1, le=4094)] | None = None
    exclude: tuple[Annotated[AddressRange, BeforeValidator(parse_address_range)], ...] = ()
    quarantine: Delay = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A server that the scheduler asks."""

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSettings:
    """Where the ledger is, and how long its record is kept; what live launches left in it is always kept.

    Attributes:
        url: an SQLAlchemy URL, `sqlite:////path/ledger.db` or `postgresql+psycopg://user@host/name?passfile=/path`.
        keep: entries of the record that are older go.
        keep_entries: at most so many stay.
    """

    url: str = "sqlite:////var/lib/vdbmon/ledger.db"
    keep: Seconds = 90 * 86400.0
    keep_entries: Annotated[int, Field(gt=0)] = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeSettings:
    """Where sized volumes are made on a host: a folder that vdbmon owns."""

    dir: Path = Path("/var/lib/vdbmon/volumes")


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSettings:
    """All that a placement needs to know."""

    prometheus: Endpoint = field(default_factory=lambda: Endpoint(url="http://127.0.0.1:9090"))
    alertmanager: Endpoint = field(default_factory=lambda: Endpoint(url="http://127.0.0.1:9093"))
    ledger: LedgerSettings = field(default_factory=LedgerSettings)
    volumes: VolumeSettings = field(default_factory=VolumeSettings)
    hosts: tuple[HostSettings, ...] = ()
    sources: tuple[SourceSettings, ...] = ()
    pools: tuple[PoolSettings, ...] = ()
    schedules: tuple[ScheduleSettings, ...] = ()
