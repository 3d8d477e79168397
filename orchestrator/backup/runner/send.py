"""The source's half of a streamed backup: run mariadb-backup there, on behalf of a container elsewhere.

Over ssh it is the forced command of a key, in the source's authorized_keys:

    restrict,command="python3 -m runner send --socket /run/mysqld/mysqld.sock --defaults-file ..." ssh-ed25519 AAAA...

Or it listens with TLS, and serves whoever shows a certificate of its CA, one after the other. Either way the far end
says what it wants in one line and can ask for nothing else than a backup. When it goes away, the backup ends within
a second or two and gives back its locks; when it only takes nothing any more, after `--silence` seconds.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress

from .errors import Code, JobFailedError, TerminatedError
from .frames import MAX_REQUEST, FrameWriter, parse_request
from .jobs import SendJob
from .mariadb_backup import produce_backup
from .volume import check_secret

REQUEST_SECONDS = 30.0
_STDOUT = 1


def run_send(job: SendJob, say: Callable[[str], object]) -> int:
    """Serve one request, or listen until terminated; the process's exit status."""
    if job.listen is None:
        line = sys.stdin.buffer.readline(MAX_REQUEST)
        os.set_blocking(_STDOUT, False)
        return 0 if serve(job, line, lambda data: _write(data, job.silence)) else 1
    with suppress(TerminatedError):
        _listen(job, say)
    return 0


def serve(job: SendJob, line: bytes, write: Callable[[bytes], object]) -> bool:
    """Answer one request; whether the backup came through whole."""
    frames = FrameWriter(write)
    try:
        try:
            request = parse_request(line)
        except ValueError as error:
            text = f"the request was refused: {error}"
            remedy = "install the same version of the runner on both sides"
            raise JobFailedError(Code.SOURCE_DENIED, text, remedy) from error
        frames.end(produce_backup(job.server, request, frames.data, frames))
    except JobFailedError as error:
        with suppress(OSError):
            frames.failed(error)
        return False
    except OSError:
        return False  # the container is gone
    return True


def _write(data: bytes, silence: float) -> None:
    """Write to standard output; a dead link would hold up the backup for as long as the kernel tries.

    Raises:
        TimeoutError: nobody took anything for so many seconds.
    """
    ready = select.poll()
    ready.register(_STDOUT, select.POLLOUT)
    view = memoryview(data)
    while view:
        if not ready.poll(silence * 1000):
            raise TimeoutError(0, f"the container took nothing for {silence:g} s")
        with suppress(BlockingIOError):
            view = view[os.write(_STDOUT, view) :]


def _listen(job: SendJob, say: Callable[[str], object]) -> None:
    if job.listen is None or job.ca is None or job.cert is None or job.key is None:
        raise ValueError("listening needs an address and TLS files")
    check_secret(job.key, "TLS key")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(job.ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(job.cert, job.key)
    with socket.create_server(job.listen, family=socket.AF_INET6 if ":" in job.listen[0] else socket.AF_INET) as server:
        say(f"listening on {job.listen[0]}:{server.getsockname()[1]}\n")
        while True:
            plain, peer = server.accept()
            with plain:
                plain.settimeout(REQUEST_SECONDS)
                try:
                    with context.wrap_socket(plain, server_side=True) as connection:
                        _answer(job, connection)
                except OSError as error:  # ssl's errors are among them
                    say(f"{peer[0]}: {error}\n")


def _answer(job: SendJob, connection: ssl.SSLSocket) -> None:
    line = b""
    while not line.endswith(b"\n") and len(line) < MAX_REQUEST:
        data = connection.recv(4096)
        if not data:
            return
        line += data
    connection.settimeout(job.silence)
    # What fits the kernel's buffer is taken without anybody at the other end: unacknowledged, it ends the connection.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(job.silence * 1000))
    serve(job, line, connection.sendall)
