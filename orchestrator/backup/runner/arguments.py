"""The runner's command line: `runner JOB --source NAME --backup-id ID --target VOLUME ...`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from . import jobs
from .jobs import SILENCE_SECONDS, BackupRequest, PointInTime, Server, Ssh, TableDetail, Tls

AnyJob = (
    jobs.BackupJob
    | jobs.SendJob
    | jobs.LogicalJob
    | jobs.BinlogJob
    | jobs.RestoreJob
    | jobs.VerifyJob
    | jobs.StandbyJob
    | jobs.PromoteJob
    | jobs.CopyJob
)
_Values = dict[str, Any]
_RECIPIENT = re.compile(r"age1[0-9a-z]{58}|ssh-(?:ed25519|rsa) \S+.*")
_TIME = "%Y-%m-%d %H:%M:%S"


def parse_arguments(arguments: Sequence[str] | None) -> AnyJob:
    """The job that a command line describes; ends the process with 2 for a wrong one."""
    parser = argparse.ArgumentParser(prog="runner", description="Back up, restore and check MariaDB servers.")
    commands = parser.add_subparsers(dest="command", required=True)
    builders = {}
    for name, text, add, build in _COMMANDS:
        command = commands.add_parser(name, help=text, allow_abbrev=False)
        add(command)
        builders[name] = build
    values = vars(parser.parse_args(arguments))
    try:
        return builders[values.pop("command")](values)
    except ValueError as error:
        parser.error(str(error))


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", required=True, help="name of the database")
    parser.add_argument("--backup-id", required=True, help="name of the folder that is made in the volume")
    parser.add_argument("--target", required=True, type=Path, help="root of the volume")


def _server(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    parser.add_argument("--socket", type=Path, help="the server's Unix socket")
    parser.add_argument("--host", help="its host name, instead of a socket")
    parser.add_argument("--port", type=int, default=3306)
    parser.add_argument("--ssl-ca", type=Path, help="require TLS, and know the server by these certificates")
    parser.add_argument("--defaults-file", required=required, type=Path, help="MySQL option file of mode 0600")


def _backups(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backup", action="append", required=True, type=Path, help="folder of a backup; again for each increment"
    )
    parser.add_argument("--identity", type=Path, help="file with age's private keys, of mode 0600")


def _silence(parser: argparse.ArgumentParser) -> None:
    text = "seconds of silence after which the other end is given up (default 60)"
    parser.add_argument("--silence", type=float, default=SILENCE_SECONDS, metavar="SECONDS", help=text)


def _recipients(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--recipients", type=Path, help="file with age public keys, one a line: encrypt for them")


def _backup(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    _server(parser, required=False)
    parser.add_argument("--ssh", metavar="USER@HOST", help="the tool runs there, as the key's forced command")
    parser.add_argument("--ssh-port", type=int, default=22)
    parser.add_argument("--ssh-key", type=Path)
    parser.add_argument("--ssh-known-hosts", type=Path)
    parser.add_argument("--tls", metavar="HOST:PORT", help="`runner send --listen` answers there")
    for name in ("ca", "cert", "key"):
        parser.add_argument(f"--tls-{name}", type=Path)
    _silence(parser)
    parser.add_argument("--parent", help="id of the backup that an incremental one builds on")
    parser.add_argument("--from-lsn", type=int, help="where that one ends (its to_lsn)")
    parser.add_argument("--throttle", type=int, help="pairs of reads and writes per second, as mariadb-backup has it")
    parser.add_argument("--tables", type=TableDetail, choices=list(TableDetail), default=TableDetail.CHECKSUMS)
    _recipients(parser)


def _send(parser: argparse.ArgumentParser) -> None:
    _server(parser)
    parser.add_argument("--listen", metavar="HOST:PORT", help="serve TLS there instead of standard input and output")
    for name in ("ca", "cert", "key"):
        parser.add_argument(f"--tls-{name}", type=Path)
    _silence(parser)


def _logical(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    _server(parser)
    _recipients(parser)


def _binlog(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    _server(parser)
    parser.add_argument("--first-file", help="where an empty folder begins; else the server's oldest")
    parser.add_argument("--until-now", action="store_true", help="stop when all of now is fetched")
    parser.add_argument("--server-id", type=int, default=0x7FFFFFFE, help="unique among the source's replicas")


def _restore(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    _backups(parser)
    parser.add_argument("--binlogs", action="append", default=[], type=Path, help="folder of a binlog job")
    until = parser.add_mutually_exclusive_group()
    until.add_argument("--until-time", metavar="'YYYY-MM-DD HH:MM:SS'", help="UTC; stop before the first event then")
    until.add_argument("--until-position", metavar="FILE:POSITION")
    parser.add_argument("--table", metavar="DATABASE.TABLE", help="of a logical backup this table alone")
    parser.add_argument("--serve", metavar="SOCKET", type=Path, help="keep the server up on this socket")


def _verify(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    _backups(parser)


def _standby(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    _backups(parser)
    _server(parser)
    parser.add_argument("--server-id", type=int, required=True, help="unique among the source's replicas")
    parser.add_argument("--serve", metavar="SOCKET", type=Path, required=True)


def _promote(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("--serve", metavar="SOCKET", type=Path, required=True, help="the standby's socket")


def _copy(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("--backup", action="append", required=True, type=Path, help="folder of a whole backup")
    repositories = "a folder, sftp:user@host:/path, sftp://user@host:port//path, s3:https://host/bucket/path"
    parser.add_argument("--to", required=True, help=f"restic repository: {repositories}")
    parser.add_argument("--password-file", required=True, type=Path)
    parser.add_argument("--ssh-key", type=Path)
    parser.add_argument("--ssh-known-hosts", type=Path)
    parser.add_argument("--s3-credentials", type=Path, help="AWS shared credentials file of mode 0600")
    parser.add_argument("--s3-ca", type=Path, help="know the object store by these certificates")


def _common_of(values: _Values) -> _Values:
    return {key: values[key] for key in ("source", "backup_id", "target")}


def _server_of(values: _Values) -> Server:
    if (values["socket"] is None) == (values["host"] is None):
        raise ValueError("give --socket or --host")
    if values["defaults_file"] is None:
        raise ValueError("give --defaults-file")
    return Server(**{key: values[key] for key in ("socket", "host", "port", "ssl_ca", "defaults_file")})


def _origin_of(values: _Values) -> Server | Ssh | Tls:
    if values["ssh"] is not None:
        key, known = values["ssh_key"], values["ssh_known_hosts"]
        if key is None or known is None:
            raise ValueError("--ssh needs --ssh-key and --ssh-known-hosts")
        return Ssh(destination=values["ssh"], port=values["ssh_port"], key=key, known_hosts=known)
    if values["tls"] is not None:
        host, port = _host_port(values["tls"])
        return Tls(host=host, port=port, **_tls_files(values))
    return _socket_of(values)


def _socket_of(values: _Values) -> Server:
    """mariadb-backup reads the server's files: it must run where they are."""
    server = _server_of(values)
    if server.socket is None:
        raise ValueError("a physical backup of a server elsewhere needs --ssh or --tls; here it needs --socket")
    return server


def _tls_files(values: _Values) -> _Values:
    files = {name: values[f"tls_{name}"] for name in ("ca", "cert", "key")}
    if None in files.values():
        raise ValueError("TLS needs --tls-ca, --tls-cert and --tls-key")
    return files


def _host_port(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not (host and colon and port.isascii() and port.isdigit()):
        raise ValueError(f"{text!r} is no HOST:PORT")
    return host.strip("[]"), int(port)


def _recipients_of(values: _Values) -> tuple[str, ...]:
    path: Path | None = values["recipients"]
    if path is None:
        return ()
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except OSError as error:
        raise ValueError(f"--recipients {path}: {error.strerror}") from error
    found = tuple(line for line in lines if line and not line.startswith("#"))
    if odd := [line for line in found if not _RECIPIENT.fullmatch(line)]:
        raise ValueError(f"--recipients {path}: {odd[0][:20]!r} is no age public key")
    if not found:
        raise ValueError(f"--recipients {path} names none")
    return found


def _backup_of(values: _Values) -> jobs.BackupJob:
    if (values["parent"] is None) != (values["from_lsn"] is None):
        raise ValueError("--parent and --from-lsn go together")
    request = BackupRequest(
        from_lsn=values["from_lsn"],
        recipients=_recipients_of(values),
        throttle=values["throttle"],
        table_detail=values["tables"],
    )
    origin, parent = _origin_of(values), values["parent"]
    return jobs.BackupJob(
        **_common_of(values), origin=origin, request=request, parent=parent, silence=values["silence"]
    )


def _send_of(values: _Values) -> jobs.SendJob:
    if values["listen"] is None:
        return jobs.SendJob(server=_socket_of(values), silence=values["silence"])
    listen = _host_port(values["listen"])
    return jobs.SendJob(server=_socket_of(values), listen=listen, silence=values["silence"], **_tls_files(values))


def _logical_of(values: _Values) -> jobs.LogicalJob:
    return jobs.LogicalJob(**_common_of(values), server=_server_of(values), recipients=_recipients_of(values))


def _binlog_of(values: _Values) -> jobs.BinlogJob:
    return jobs.BinlogJob(
        **_common_of(values),
        server=_server_of(values),
        first_file=values["first_file"],
        follow=not values["until_now"],
        server_id=values["server_id"],
    )


def _until_of(values: _Values) -> PointInTime | None:
    if values["until_time"] is not None:
        try:
            datetime.strptime(values["until_time"], _TIME)  # noqa: DTZ007 - only its form is looked at
        except ValueError:
            raise ValueError(f"--until-time {values['until_time']!r} is not as '2026-11-23 05:00:00'") from None
        return PointInTime(time=values["until_time"])
    if values["until_position"] is not None:
        file, position = _host_port(values["until_position"])
        return PointInTime(file=file, position=position)
    return None


def _restore_of(values: _Values) -> jobs.RestoreJob:
    until = _until_of(values)
    if until is not None and not values["binlogs"]:
        raise ValueError("a point in time needs --binlogs")
    return jobs.RestoreJob(
        **_common_of(values),
        backups=tuple(values["backup"]),
        identity=values["identity"],
        binlogs=tuple(values["binlogs"]),
        until=until,
        table=values["table"],
        socket=values["serve"],
    )


def _verify_of(values: _Values) -> jobs.VerifyJob:
    return jobs.VerifyJob(**_common_of(values), backups=tuple(values["backup"]), identity=values["identity"])


def _standby_of(values: _Values) -> jobs.StandbyJob:
    return jobs.StandbyJob(
        **_common_of(values),
        backups=tuple(values["backup"]),
        identity=values["identity"],
        server=_server_of(values),
        server_id=values["server_id"],
        socket=values["serve"],
    )


def _promote_of(values: _Values) -> jobs.PromoteJob:
    return jobs.PromoteJob(**_common_of(values), socket=values["serve"])


def _copy_of(values: _Values) -> jobs.CopyJob:
    to = values["to"]
    if to.startswith("sftp:") and None in (values["ssh_key"], values["ssh_known_hosts"]):
        raise ValueError("a copy by sftp needs --ssh-key and --ssh-known-hosts")
    if to.startswith("s3:") and values["s3_credentials"] is None:
        raise ValueError("a copy to an object store needs --s3-credentials")
    return jobs.CopyJob(
        **_common_of(values),
        backups=tuple(values["backup"]),
        repository=to,
        password_file=values["password_file"],
        ssh_key=values["ssh_key"],
        known_hosts=values["ssh_known_hosts"],
        s3_credentials=values["s3_credentials"],
        ca=values["s3_ca"],
    )


_COMMANDS: tuple[tuple[str, str, Callable[[argparse.ArgumentParser], None], Callable[[_Values], AnyJob]], ...] = (
    ("backup", "a physical backup, full or incremental", _backup, _backup_of),
    ("send", "at the source: make a backup and stream it to whoever asks", _send, _send_of),
    ("logical", "a consistent dump in SQL, one file per table", _logical, _logical_of),
    ("binlog", "fetch the binary logs", _binlog, _binlog_of),
    ("restore", "a data directory out of a backup and its increments", _restore, _restore_of),
    ("verify", "restore, check every table, compare with the source's, throw away", _verify, _verify_of),
    ("standby", "restore, then replicate", _standby, _standby_of),
    ("promote", "make a standby a primary", _promote, _promote_of),
    ("copy", "a second copy elsewhere, checked", _copy, _copy_of),
)
