"""The container's half of a streamed backup: reach the source by ssh or TLS, ask, and take what comes."""

from __future__ import annotations

import os
import select
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .errors import Code, JobFailedError
from .frames import read_frames, request_line
from .jobs import BackupRequest, Ssh, Tls
from .mariadb_backup import Hearer, Produced
from .pipeline import Sink
from .volume import check_secret

CONNECT_SECONDS = 30.0
_REFUSALS = ("Permission denied", "Host key verification failed")  # of ssh
_PROBES = 4  # of ssh, before it takes the far end for dead
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Both directions; `receive` gives up to so many bytes, none at the end. `farewell` says why it ended."""

    peer: str
    send: Callable[[bytes], object]
    receive: Callable[[int], bytes]
    farewell: Callable[[], str]


def receive_backup(origin: Ssh | Tls, request: BackupRequest, sink: Sink, hear: Hearer, *, silence: float) -> Produced:
    """Ask the source for a backup and give its stream to `sink`; give up if no byte comes for `silence` seconds.

    Raises:
        JobFailedError: the source can't be reached, refused, failed, or broke off.
        OSError: `sink` could not write.
    """
    connect = _over_ssh(origin, silence) if isinstance(origin, Ssh) else _over_tls(origin, silence)
    with connect as connection:
        try:
            connection.send(request_line(request))
        except OSError as error:
            raise _lost(connection, error) from error
        return read_frames(lambda count: _exactly(connection, count), data=sink, hear=hear)


def _exactly(connection: Connection, count: int) -> bytes:
    parts: list[bytes] = []
    missing = count
    while missing:
        try:
            data = connection.receive(min(missing, _CHUNK_BYTES))
        except OSError as error:
            raise _lost(connection, error) from error
        if not data:
            raise _lost(connection, None)
        parts.append(data)
        missing -= len(data)
    return b"".join(parts)


def _lost(connection: Connection, error: OSError | None) -> JobFailedError:
    said = connection.farewell()
    # TLS 1.3 tells of a refused certificate only where an answer is due; ssh tells on its own.
    if isinstance(error, ssl.SSLError) or any(words in said for words in _REFUSALS):
        why = said or f"TLS: {_ssl_text(error)}"
        return JobFailedError(Code.SOURCE_DENIED, f"the source at {connection.peer} refused us: {why}")
    why = ": ".join(text for text in (error and (error.strerror or str(error)), said) if text)
    return JobFailedError(Code.SOURCE_LOST, f"the source at {connection.peer} broke off{': ' if why else ''}{why}")


def _ssl_text(error: OSError | None) -> str:
    """OpenSSL's words, without the line of Python's source."""
    return str(error.strerror or error).partition(" (_ssl.c")[0] if error is not None else ""


@contextmanager
def _over_ssh(origin: Ssh, silence: float) -> Iterator[Connection]:
    check_secret(origin.key, "ssh key")
    options = {
        "BatchMode": "yes",
        "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": str(origin.known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "ConnectTimeout": str(int(CONNECT_SECONDS)),
        "ServerAliveInterval": str(max(int(silence / _PROBES), 1)),
        "ServerAliveCountMax": str(_PROBES),
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    command = ["ssh", "-F", "none", "-T", "-p", str(origin.port), "-i", str(origin.key), *words, origin.destination]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise ValueError("ssh was started without pipes")
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr

    def send(data: bytes) -> None:
        stdin.write(data)
        stdin.flush()

    def farewell() -> str:
        process.kill()
        return " ".join(stderr.read().decode(errors="replace").split())[-500:]

    try:
        yield Connection(
            peer=origin.destination,
            send=send,
            receive=lambda count: _read_pipe(stdout.fileno(), count, silence),
            farewell=farewell,
        )
    finally:
        process.kill()
        process.wait()
        for pipe in (stdout, stderr):
            pipe.close()
        try:
            stdin.close()
        except BrokenPipeError:
            process.poll()


def _read_pipe(descriptor: int, count: int, silence: float) -> bytes:
    ready = select.poll()  # select(2) fails on a descriptor above 1023
    ready.register(descriptor, select.POLLIN)
    if not ready.poll(silence * 1000):
        raise _silent(silence)
    return os.read(descriptor, count)


def _silent(seconds: float) -> TimeoutError:
    return TimeoutError(0, f"nothing came for {seconds:g} s")


@contextmanager
def _over_tls(origin: Tls, silence: float) -> Iterator[Connection]:
    check_secret(origin.key, "TLS key")
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(origin.ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(origin.cert, origin.key)
    try:
        plain = socket.create_connection((origin.host, origin.port), timeout=CONNECT_SECONDS)
    except OSError as error:
        text = f"the source at {origin.host}:{origin.port} can't be reached: {error.strerror or error}"
        raise JobFailedError(Code.SOURCE_LOST, text) from error
    with plain:
        try:
            connected = context.wrap_socket(plain, server_hostname=origin.host)
        except OSError as error:  # ssl's errors are among them
            text = f"TLS with the source at {origin.host}:{origin.port} failed: {_ssl_text(error)}"
            raise JobFailedError(Code.SOURCE_DENIED, text) from error
        with connected:
            connected.settimeout(silence)

            def receive(count: int) -> bytes:
                try:
                    return connected.recv(count)
                except TimeoutError as error:
                    raise _silent(silence) from error

            peer = f"{origin.host}:{origin.port}"
            yield Connection(peer=peer, send=connected.sendall, receive=receive, farewell=lambda: "")
