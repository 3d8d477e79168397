"""How a source is reached, as its settings say it: socket, SQL over TCP, or a stream over ssh or TLS. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from collector.errors import ConfigError
from orchestrator.backup.job_names import READS_BACKUPS_ALONE, JobName
from orchestrator.settings import CopySettings, Reach, SourceSettings

_MYSQL_PORT = 3306
_SSH_PORT = 22
_IN_SQL = frozenset({JobName.LOGICAL, JobName.BINLOG, JobName.STANDBY})


@dataclass(frozen=True, slots=True)
class HostPort:
    """Where a server listens; `user` of ssh."""

    host: str
    port: int
    user: str | None = None


def local_socket(source: SourceSettings) -> Path:
    """The server's socket on its host.

    Raises:
        ConfigError: `config.invalid`.
    """
    parts = urlsplit(source.address)
    if parts.scheme != "unix" or not PurePosixPath(parts.path).is_absolute():
        raise ConfigError(
            "config.invalid",
            f"source {source.name}: address {source.address!r} is no local socket",
            "write for example unix:///run/mysqld/mysqld.sock",
        )
    return Path(parts.path)


def sql_server(source: SourceSettings) -> HostPort:
    """Where the server answers SQL over TCP.

    Raises:
        ConfigError: `config.invalid`.
    """
    text = source.sql_address or source.address
    return _host_port(
        source, text, scheme="tcp", port=_MYSQL_PORT, key="sql_address" if source.sql_address else "address"
    )


def stream_sender(source: SourceSettings) -> HostPort:
    """Where `runner send` is reached, over ssh if the settings say ssh, else over TLS.

    Raises:
        ConfigError: `config.invalid`.
    """
    if source.address.startswith("ssh://"):
        found = _host_port(source, source.address, scheme="ssh", port=_SSH_PORT, key="address")
        if source.ssh is None or found.user is None:
            text = f"source {source.name}: ssh needs a user in the address and [sources.ssh]"
            raise ConfigError("config.invalid", text, "write ssh://user@host, key_file and known_hosts_file")
        return found
    found = _host_port(source, source.address, scheme="tls", port=None, key="address")
    if source.tls is None:
        text = f"source {source.name}: TLS needs [sources.tls]"
        raise ConfigError("config.invalid", text, "give ca_file, cert_file and key_file")
    return found


def check_access(job: str, source: SourceSettings) -> None:
    """Refuse a job that can't get at what it needs of its source, before anything is asked or done.

    Raises:
        ConfigError: `source.reach_unsupported`, `source.credentials`, `source.copy`, `config.invalid`.
    """
    if job == JobName.COPY and source.copy is None:
        text = f"source {source.name} doesn't say where its second copy is"
        raise ConfigError("source.copy", text, "give repository and password_file in [sources.copy]")
    if job == JobName.COPY and source.copy is not None:
        _check_repository(source.name, source.copy)
    if job in READS_BACKUPS_ALONE:
        return
    if job in _IN_SQL:
        _check_sql(job, source)
    else:
        _check_physical(source)


def _check_repository(name: str, copy: CopySettings) -> None:
    for prefix, given, remedy in (
        ("sftp:", copy.ssh, "give key_file and known_hosts_file in [sources.copy.ssh]"),
        ("s3:", copy.s3, "give credentials_file in [sources.copy.s3]"),
    ):
        if copy.repository.startswith(prefix) and given is None:
            raise ConfigError("source.copy", f"source {name}: nothing says how to get into {copy.repository}", remedy)


def _check_physical(source: SourceSettings) -> None:
    match source.reach:
        case Reach.LOCAL:
            if source.host is None or source.data_dir is None:
                text = f"source {source.name} has reach local"
                raise ConfigError("config.invalid", text, "give its host and its data_dir in [[sources]]")
            local_socket(source)
            _need_credentials(source)
        case Reach.STREAM:
            stream_sender(source)
        case Reach.REPLICA:
            _refuse(source, "a backup reads data files, and its are on a standby's volume", "place --job standby")
        case Reach.SQL:
            _refuse(source, "a backup reads data files, and SQL doesn't give any", "place --job logical")


def _check_sql(job: str, source: SourceSettings) -> None:
    _need_credentials(source)
    if source.reach is Reach.LOCAL and job != JobName.STANDBY:
        if source.host is None:
            text = f"source {source.name} has reach local"
            raise ConfigError("config.invalid", text, "give its host in [[sources]]")
        local_socket(source)
    elif source.sql_address is None and source.reach in {Reach.LOCAL, Reach.STREAM}:
        _refuse(source, f"job {job} needs SQL over TCP", "give its sql_address in [[sources]]")
    else:
        sql_server(source)


def _need_credentials(source: SourceSettings) -> None:
    if source.credentials_file is None:
        text = f"source {source.name} has no credentials_file"
        raise ConfigError("source.credentials", text, "give a MySQL option file of mode 0600")


def _refuse(source: SourceSettings, why: str, remedy: str) -> None:
    raise ConfigError("source.reach_unsupported", f"source {source.name} has reach {source.reach}: {why}", remedy)


def _host_port(source: SourceSettings, text: str, *, scheme: str, port: int | None, key: str) -> HostPort:
    parts = urlsplit(text)
    try:
        found = parts.port or port
    except ValueError:
        found = None
    if parts.scheme != scheme or not parts.hostname or found is None or parts.path not in {"", "/"} or parts.password:
        example = f"{scheme}://host:{port or 4444}"
        raise ConfigError(
            "config.invalid",
            f"source {source.name}: {key} {text!r} is none of {scheme}",
            f"write for example {example}",
        )
    return HostPort(parts.hostname, found, parts.username)
