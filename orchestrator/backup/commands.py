"""The runner's command line of each job, and what of its host the container sees. Pure.

The options are those of `runner/arguments.py`. A secret is a mounted file: neither what is in it nor its path on the
host stands in the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from orchestrator.backup.addresses import local_socket, sql_server, stream_sender
from orchestrator.backup.inputs import StoredBackup
from orchestrator.backup.job_names import JobName
from orchestrator.decision.request import Request
from orchestrator.engines.engine import BindMount, NamedMount
from orchestrator.host.volumes import Volume
from orchestrator.settings import Reach, SourceSettings

VOLUME_TARGET = Path("/backup")
BACKUPS_TARGET = Path("/backups")
SOCKET_TARGET = Path("/run/source")
SECRETS_TARGET = Path("/run/secrets")
REPOSITORY_TARGET = Path("/repository")
SERVED_SOCKET = VOLUME_TARGET / "mysqld.sock"
"""Where a restored server answers: in its volume, so that the host reaches it too."""

_SERVER_IDS = 2**32 - 2

VolumeOf = Callable[[str], Volume]
"""A volume on the host of the job, by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What a container runs.

    Attributes:
        mounts: paths of the host, read-only but for a repository of copies.
        secrets: files of the host that nobody else may read.
        folders: folders of the host that must be there; the disks under them are limited.
        sockets: sockets of the host that must be there.
        network: Docker network; None where the job needs none.
    """

    command: tuple[str, ...]
    mounts: tuple[BindMount | NamedMount, ...] = ()
    secrets: tuple[Path, ...] = ()
    folders: tuple[Path, ...] = ()
    sockets: tuple[Path, ...] = ()
    network: str | None = None


def invocation(request: Request, volume: str, volume_of: VolumeOf) -> Invocation:
    """What the container of a checked request runs; `volume` is the id of its result as well."""
    draft = _Draft(request.source, volume_of)
    draft.say("--source", request.source.name, "--backup-id", volume, "--target", VOLUME_TARGET)
    _BUILDERS[JobName(request.job)](draft, request)
    return draft.invocation(request.job)


@dataclass(slots=True)
class _Draft:
    source: SourceSettings
    volume_of: VolumeOf
    words: list[str] = field(default_factory=list)
    mounts: list[BindMount | NamedMount] = field(default_factory=list)
    secrets: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    sockets: list[Path] = field(default_factory=list)
    network: bool = False

    def say(self, *words: object) -> None:
        self.words += map(str, words)

    def file(self, option: str, path: Path, name: str, *, secret: bool = False) -> None:
        """Mount a file, and name it behind an option."""
        target = SECRETS_TARGET / name
        self.mounts.append(BindMount(source=path.absolute(), target=target))
        if secret:
            self.secrets.append(path)
        self.say(option, target)

    def backups(self, option: str, stored: tuple[StoredBackup, ...]) -> None:
        """Mount volumes, and name the folders of the backups in them."""
        for item in stored:
            target = BACKUPS_TARGET / item.volume
            if target not in {mount.target for mount in self.mounts}:
                mount = replace(self.volume_of(item.volume).mount(target), read_only=True)
                self.mounts.append(mount)
                if isinstance(mount, BindMount):
                    self.folders.append(mount.source)
            self.say(option, target / item.id)

    def credentials(self) -> None:
        """The MySQL option file."""
        if self.source.credentials_file is not None:
            self.file("--defaults-file", self.source.credentials_file, "source.cnf", secret=True)

    def server(self, *, over_tcp: bool = False) -> None:
        """How SQL reaches the source."""
        if self.source.reach is Reach.LOCAL and not over_tcp:
            socket = local_socket(self.source)
            self.mounts.append(BindMount(source=socket.parent, target=SOCKET_TARGET))
            self.sockets.append(socket)
            self.say("--socket", SOCKET_TARGET / socket.name)
        else:
            at = sql_server(self.source)
            self.say("--host", at.host, "--port", at.port)
            self.network = True
            if self.source.ssl_ca_file is not None:
                self.file("--ssl-ca", self.source.ssl_ca_file, "ssl-ca.pem")
        self.credentials()

    def recipients(self) -> None:
        """Public keys, where backups are encrypted."""
        if self.source.encryption is not None:
            self.file("--recipients", self.source.encryption.recipients_file, "age.recipients")

    def identity(self) -> None:
        """Private keys, where there are some."""
        if self.source.encryption is not None and self.source.encryption.identity_file is not None:
            self.file("--identity", self.source.encryption.identity_file, "age.identity", secret=True)

    def invocation(self, job: str) -> Invocation:
        return Invocation(
            command=("python3", "-m", "runner", job, *self.words),
            mounts=tuple(self.mounts),
            secrets=tuple(self.secrets),
            folders=tuple(self.folders),
            sockets=tuple(self.sockets),
            network=self.source.network if self.network else None,
        )


def _backup(draft: _Draft, request: Request) -> None:
    source = draft.source
    if source.reach is Reach.STREAM:
        _stream(draft)
    else:
        data_dir = source.data_dir or source.server_data_dir
        draft.mounts.append(BindMount(source=data_dir, target=source.server_data_dir))
        draft.folders.append(data_dir)
        draft.server()
    if request.inputs.parent is not None:
        draft.say("--parent", request.inputs.parent, "--from-lsn", request.inputs.from_lsn)
    if source.throttle is not None:
        draft.say("--throttle", source.throttle)
    draft.recipients()


def _stream(draft: _Draft) -> None:
    source, at = draft.source, stream_sender(draft.source)
    draft.network = True
    if source.address.startswith("ssh://") and source.ssh is not None:
        draft.say("--ssh", f"{at.user}@{at.host}", "--ssh-port", at.port)
        draft.file("--ssh-key", source.ssh.key_file, "ssh.key", secret=True)
        draft.file("--ssh-known-hosts", source.ssh.known_hosts_file, "known_hosts")
    elif source.tls is not None:
        draft.say("--tls", f"{at.host}:{at.port}")
        draft.file("--tls-ca", source.tls.ca_file, "tls-ca.pem")
        draft.file("--tls-cert", source.tls.cert_file, "tls-cert.pem")
        draft.file("--tls-key", source.tls.key_file, "tls.key", secret=True)


def _logical(draft: _Draft, _request: Request) -> None:
    draft.server()
    draft.recipients()


def _binlog(draft: _Draft, request: Request) -> None:
    draft.server()
    draft.say("--server-id", server_id(request.request_id))


def _restore(draft: _Draft, request: Request) -> None:
    inputs = request.inputs
    draft.backups("--backup", inputs.backups)
    draft.identity()
    draft.backups("--binlogs", inputs.binlogs)
    if inputs.until_time is not None:
        draft.say("--until-time", inputs.until_time)
    if inputs.until_position is not None:
        draft.say("--until-position", inputs.until_position)
    if inputs.table is not None:
        draft.say("--table", inputs.table)
    if inputs.serve:
        draft.say("--serve", SERVED_SOCKET)


def _verify(draft: _Draft, request: Request) -> None:
    draft.backups("--backup", request.inputs.backups)
    draft.identity()


def _standby(draft: _Draft, request: Request) -> None:
    _verify(draft, request)
    draft.server(over_tcp=True)
    draft.say("--server-id", server_id(request.request_id), "--serve", SERVED_SOCKET)


def _copy(draft: _Draft, request: Request) -> None:
    draft.backups("--backup", request.inputs.backups)
    settings = draft.source.copy
    if settings is None:
        raise AssertionError("a copy without a repository was let through")
    folder = Path(settings.repository)
    if folder.is_absolute():
        draft.mounts.append(BindMount(source=folder, target=REPOSITORY_TARGET, read_only=False))
        draft.folders.append(folder)
    else:
        draft.network = True
    draft.say("--to", REPOSITORY_TARGET if folder.is_absolute() else settings.repository)
    draft.file("--password-file", settings.password_file, "restic.password", secret=True)
    if settings.ssh is not None:
        draft.file("--ssh-key", settings.ssh.key_file, "ssh.key", secret=True)
        draft.file("--ssh-known-hosts", settings.ssh.known_hosts_file, "known_hosts")
    if settings.s3 is not None:
        draft.file("--s3-credentials", settings.s3.credentials_file, "s3.credentials", secret=True)
        if settings.s3.ca_file is not None:
            draft.file("--s3-ca", settings.s3.ca_file, "s3-ca.pem")


def promotion(source: str, volume: str) -> tuple[str, ...]:
    """What makes the standby the primary that runs in a container, run beside it."""
    words = ("--source", source, "--backup-id", volume, "--target", VOLUME_TARGET, "--serve", SERVED_SOCKET)
    return ("python3", "-m", "runner", "promote", *map(str, words))


def server_id(request_id: str) -> int:
    """A replica's number, unique as far as 32 bits of a request's id go."""
    return 1 + int(request_id[:8], 16) % _SERVER_IDS


_BUILDERS: Mapping[JobName, Callable[[_Draft, Request], None]] = MappingProxyType(
    {
        JobName.BACKUP: _backup,
        JobName.LOGICAL: _logical,
        JobName.BINLOG: _binlog,
        JobName.RESTORE: _restore,
        JobName.VERIFY: _verify,
        JobName.STANDBY: _standby,
        JobName.COPY: _copy,
    }
)
