"""A session with a server, through the `mariadb` client: the password goes by an option file, statements by a pipe."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import IO, Self

from .errors import Code, JobFailedError
from .jobs import Server
from .pipeline import complaint_of

Row = tuple[str, ...]
_DELIMITER = "$$$"  # so that a statement may be a block of several
_WAITING_MILLISECONDS = 1000
_UNESCAPED = {"n": "\n", "t": "\t", "0": "\0", "\\": "\\"}


def client_options(server: Server) -> tuple[str, ...]:
    """Options by which MariaDB's client programs find the server; the option file must come first."""
    where: tuple[str, ...] = (f"--socket={server.socket}",)
    if server.host is not None:
        where = (f"--host={server.host}", f"--port={server.port}", "--protocol=tcp")
    tls = (f"--ssl-ca={server.ssl_ca}", "--ssl-verify-server-cert") if server.ssl_ca is not None else ()
    return (f"--defaults-file={server.defaults_file}", *where, *tls)


class Session:
    """One connection, kept until the end of the `with`.

    Args:
        names: whether each statement's rows begin with the columns' names.
        lost: the failure that it is if the server goes away or says no.

    Attributes:
        waiting: is called about once a second while a statement runs.

    Raises:
        JobFailedError: on any statement, if the server can't be reached, or refuses.
    """

    def __init__(
        self, server: Server, *, names: bool = False, lost: Code = Code.SOURCE_LOST, program: str = "mariadb"
    ) -> None:
        # Reconnecting would lose a snapshot, and nobody would know.
        options = ("--batch", "--unbuffered", "--skip-reconnect", f"--delimiter={_DELIMITER}")
        command = [program, *client_options(server), *options, *(() if names else ("--skip-column-names",))]
        self._lost = lost
        self._ends = 2 if names else 1  # with names the closing SELECT has a head line, which is the same
        self._messages: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the session
        self._where = f"server at {server.socket or server.host}"
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._unread = b""
        self.waiting: Callable[[], object] = lambda: None
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._messages,
            )
        except OSError as error:
            self._messages.close()
            raise JobFailedError(Code.TOOL_FAILED, f"{program} can't be started: {error.strerror}") from error

    def query(self, *statements: str) -> list[Row]:
        """Run statements; the rows of all of them. NULL is `NULL`.

        Raises:
            JobFailedError: the server said no, or went away.
        """
        with self._lock:
            end = f"vdbmon-end-{next(self._numbers)}"
            text = "".join(f"{statement}{_DELIMITER}\n" for statement in (*statements, f"SELECT '{end}'"))
            if self._process.stdin is None:
                raise ValueError("the client was started without pipes")
            try:
                self._process.stdin.write(text.encode())
                self._process.stdin.flush()
            except (BrokenPipeError, ValueError):
                raise self._failure() from None
            rows: list[Row] = []
            ends = 0
            for line in self._lines():
                row = tuple(_unescape(cell) for cell in line.decode(errors="replace").split("\t"))
                if row != (end,):
                    rows.append(row)
                    continue
                ends += 1
                if ends == self._ends:
                    return rows
            raise self._failure()

    def value(self, statement: str) -> str | None:
        """The first cell, None without rows or for NULL."""
        rows = self.query(statement)
        return rows[0][0] if rows and rows[0][0] != "NULL" else None

    def named(self, statement: str) -> dict[str, str]:
        """The first row by column names, of a session with `names`; empty if there is none."""
        rows = self.query(statement)
        return dict(zip(rows[0], rows[1], strict=True)) if len(rows) > 1 else {}

    def close(self) -> None:
        """End the session, and the statement that another thread may be waiting for."""
        self._process.kill()
        self._process.wait()
        with self._lock:
            for pipe in (self._process.stdout, self._messages):
                if pipe is not None:
                    pipe.close()
            if self._process.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    self._process.stdin.close()

    def _lines(self) -> Iterator[bytes]:
        """Lines as they come, to the end of the client's output."""
        if self._process.stdout is None:
            raise ValueError("the client was started without pipes")
        descriptor = self._process.stdout.fileno()
        ready = select.poll()  # select(2) fails on a descriptor above 1023
        ready.register(descriptor, select.POLLIN)
        while True:
            while b"\n" in self._unread:
                line, _, self._unread = self._unread.partition(b"\n")
                yield line
            if not ready.poll(_WAITING_MILLISECONDS):
                self.waiting()
                continue
            data = os.read(descriptor, 1 << 16)
            if not data:
                return
            self._unread += data

    def _failure(self) -> JobFailedError:
        self._process.wait()
        self._messages.seek(0)
        text = complaint_of(self._messages.read().decode(errors="replace").splitlines()) or "the client said nothing"
        denied = self._lost is Code.SOURCE_LOST and "denied" in text
        return JobFailedError(Code.SOURCE_DENIED if denied else self._lost, f"{self._where}: {text}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def identifier(*names: str) -> str:
    """Quoted names, joined by dots."""
    return ".".join("`" + name.replace("`", "``") + "`" for name in names)


def literal(text: str) -> str:
    """A quoted string."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _unescape(cell: str) -> str:
    """A cell as the client's batch mode escapes it."""
    if "\\" not in cell:
        return cell
    result, letters = [], iter(cell)
    for letter in letters:
        if letter == "\\":
            following = next(letters, "\\")
            result.append(_UNESCAPED.get(following, following))
        else:
            result.append(letter)
    return "".join(result)
