"""What the runner can be told to do: one frozen description per job, as the command line gives it.

Folders named `backup` are whole backups, as a `backup` or `logical` job left them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from .record import Kind


class TableDetail(StrEnum):
    """What is recorded of the source's tables, for a later verification; each reads more of the source."""

    NONE = "none"
    ROWS = "rows"
    CHECKSUMS = "checksums"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What all jobs have.

    Attributes:
        source: name of the database.
        backup_id: name of the folder that the result gets in the volume.
        target: root of the volume.
    """

    source: str
    backup_id: str
    target: Path

    @property
    def folder(self) -> Path:
        """Where the whole result is."""
        return self.target / self.backup_id

    @property
    def partial(self) -> Path:
        """Where it grows."""
        return self.target / f".{self.backup_id}.partial"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """How SQL reaches a server: by its socket, or by host and port.

    Attributes:
        defaults_file: MySQL option file with user and password, of mode 0600; TLS options can stand there as well.
        ssl_ca: certificates to know the server by; given, TLS is required and its name checked.
    """

    defaults_file: Path
    socket: Path | None = None
    host: str | None = None
    port: int = 3306
    ssl_ca: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ssh:
    """A source that runs `runner send` as the forced command of an ssh key."""

    destination: str
    port: int
    key: Path
    known_hosts: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """A source that runs `runner send --listen`; each side shows the other a certificate."""

    host: str
    port: int
    ca: Path
    cert: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupRequest:
    """What to read of the server, wherever the tool runs.

    Attributes:
        from_lsn: None for a full backup; else pages changed after it, and `parent` is the backup that ends there.
        recipients: age public keys; none for no encryption.
        throttle: mariadb-backup's --throttle: pairs of reads and writes of its chunks per second; None for none.
    """

    from_lsn: int | None = None
    recipients: tuple[str, ...] = ()
    throttle: int | None = None
    table_detail: TableDetail = TableDetail.CHECKSUMS


SILENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupJob(Job):
    """A physical backup.

    Attributes:
        silence: seconds for which a source elsewhere, which speaks each second, may be silent.
    """

    origin: Server | Ssh | Tls
    request: BackupRequest
    parent: str | None = None
    silence: float = SILENCE_SECONDS

    @property
    def kind(self) -> Kind:
        """Full, or incremental."""
        return Kind.FULL if self.request.from_lsn is None else Kind.INCREMENTAL


@dataclass(frozen=True, slots=True, kw_only=True)
class SendJob:
    """The source's half of a streamed backup: over standard input and output, or to those who connect.

    Attributes:
        listen: host and port; None for one request over standard input and output.
        silence: seconds for which the container may take nothing.
    """

    server: Server
    listen: tuple[str, int] | None = None
    silence: float = SILENCE_SECONDS
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogicalJob(Job):
    """A dump in SQL, one file per table."""

    server: Server
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BinlogJob(Job):
    """Fetch binary logs into `target/backup_id`, from where it ended before.

    Attributes:
        first_file: where to begin in an empty folder; None for the oldest that the server has.
        follow: go on until told to stop.
        server_id: of the replica that this appears to be.
    """

    server: Server
    first_file: str | None = None
    follow: bool = True
    server_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PointInTime:
    """Where to stop in the binary logs: before the first event at or after `time` (UTC), or at `position` of a file."""

    time: str | None = None
    file: str | None = None
    position: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreJob(Job):
    """A data directory out of backups, full first.

    Attributes:
        identity: file with age's private keys.
        binlogs: folders of `binlog` jobs, for a point in time.
        until: None with `binlogs` for all that they hold.
        table: of a logical backup, `database.table`, this one alone.
        socket: given, the server stays up on it.
    """

    backups: tuple[Path, ...]
    identity: Path | None = None
    binlogs: tuple[Path, ...] = ()
    until: PointInTime | None = None
    table: str | None = None
    socket: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyJob(Job):
    """Restore into `target`, compare, and throw away."""

    backups: tuple[Path, ...]
    identity: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StandbyJob(Job):
    """Restore, then replicate from the source; `server_id` must be unique among its replicas."""

    backups: tuple[Path, ...]
    identity: Path | None = None
    server: Server
    server_id: int
    socket: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteJob(Job):
    """End the replication of the standby that runs on `socket`, and open it for writing."""

    socket: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyJob(Job):
    """A second copy of whole backups in a restic repository; `target` takes the record.

    Attributes:
        repository: restic's name of it: a folder, `sftp:user@host:/path`, `s3:https://host/bucket`.
        password_file: of the repository.
        ssh_key: for `sftp:`; `known_hosts` likewise.
        s3_credentials: for `s3:`, a file as AWS's tools have it.
        ca: certificates to know an object store by; None for the system's.
    """

    backups: tuple[Path, ...]
    repository: str
    password_file: Path
    ssh_key: Path | None = None
    known_hosts: Path | None = None
    s3_credentials: Path | None = None
    ca: Path | None = None
