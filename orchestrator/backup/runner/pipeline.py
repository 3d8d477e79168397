"""Run programs joined by pipes; every exit status is checked, and no process outlives the call.

A thread moves the bytes between the first two by splice(2): they are counted without being copied through this process.
"""

from __future__ import annotations

import hashlib
import os
import select
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

from .errors import Code, JobFailedError

CHUNK_BYTES = 1 << 20
_PROGRESS_SECONDS = 1.0

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

T = TypeVar("T")
Argv = Sequence[str]
Sink = Callable[[bytes], object]
Progress = Callable[[int], object]
OnLine = Callable[[str], object]
OnStart = Callable[[Callable[[], object]], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fed:
    """What went into a pipeline: its SHA-256, and what the programs made of it (None for all well)."""

    sha256: str
    failure: JobFailedError | None


def produce(
    commands: Sequence[Argv],
    sink: Sink,
    *,
    progress: Progress,
    on_start: OnStart = lambda _: None,
    on_line: OnLine = lambda _: None,
) -> int:
    """Run `commands[0] | commands[1] | ...` and give `sink` what comes out; return the bytes that the first one wrote.

    `progress` is told that number at least once a second, unless `sink` takes longer. `on_start` gets what ends the
    first one at once; `on_line` each line of its standard error, from a thread.

    Raises:
        JobFailedError: a process could not be started, or failed; names the first cause.
    """
    with ExitStack() as stack:
        with _stop_signals_held():
            source = _start(stack, commands[0], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
            on_start(source.popen.kill)
            chain = _chain(stack, commands[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            watch = _LineWatch(_pipe(source.popen.stderr), on_line)
            relay = _Relay(_pipe(source.popen.stdout), _pipe(chain[0].popen.stdin))
            for thread in (watch, relay):
                thread.start()
                stack.callback(thread.join)
            stack.callback(_kill, source, *chain)  # before the joins: the threads end when the processes do
        _drain(_pipe(chain[-1].popen.stdout), sink, lambda: progress(relay.bytes_moved))
        for program in reversed(chain):  # those after the first end well on an early end; the first fails after them
            program.check()
        source.popen.wait()
        watch.join()
        source.check(watch.last_line)
        relay.finish()
        progress(relay.bytes_moved)
        return relay.bytes_moved


def feed(path: Path, commands: Sequence[Argv], *, progress: Progress) -> Fed:
    """Run `commands[0] | ...` on a file; `progress` is told the bytes read.

    The whole file is read and hashed also when a program fails: damage is then told from a wrong key.

    Raises:
        OSError: the file can't be read.
    """
    with ExitStack() as stack:
        file = stack.enter_context(path.open("rb", buffering=0))
        with _stop_signals_held():
            chain = _chain(stack, commands, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
            stack.callback(_kill, *chain)
        digest, taken, stdin = hashlib.sha256(), 0, _pipe(chain[0].popen.stdin)
        listening = True
        while data := file.read(CHUNK_BYTES):
            digest.update(data)
            taken += len(data)
            progress(taken)
            listening = listening and _write(stdin, data)
        if listening:
            _close_quietly(stdin)
        return Fed(sha256=digest.hexdigest(), failure=_first_failure(chain))


def read_from(command: Argv, take: Callable[[IO[bytes]], T]) -> T:
    """Run one program and give `take` what it prints, as it comes; what `take` makes of it.

    Raises:
        JobFailedError: it could not be started, or failed.
    """
    with ExitStack() as stack:
        with _stop_signals_held():
            program = _start(stack, command, stdin=subprocess.DEVNULL)
            stack.callback(_kill, program)
        output = _pipe(program.popen.stdout)
        result = take(output)
        while output.read(CHUNK_BYTES):  # so that it ends by itself, and says how
            pass
        program.check()
        return result


def join(commands: Sequence[Argv], *, environment: Mapping[str, str] | None = None) -> None:
    """Run `commands[0] | commands[1] | ...`, of which nothing comes out; `environment` is added to the present one.

    Raises:
        JobFailedError: a process could not be started, or failed; names the first cause.
    """
    with ExitStack() as stack:
        with _stop_signals_held():
            chain = _chain(
                stack, commands, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, environment=environment
            )
            stack.callback(_kill, *chain)
        if failure := _first_failure(chain):
            raise failure


def run(command: Argv, *, stdin: bytes = b"") -> str:
    """Run one program; what it printed.

    Raises:
        JobFailedError: it could not be started, or failed.
    """
    with ExitStack() as stack:
        with _stop_signals_held():
            program = _start(stack, command, stdin=subprocess.PIPE)
            stack.callback(_kill, program)
        output, _ = program.popen.communicate(stdin)
        program.check()
        return output.decode(errors="replace")


def log_text(line: str) -> str:
    """A line of a MariaDB program's log without thread and time."""
    words = line.strip()
    if words.startswith("[") and "] " in words[:8]:
        words = words.partition("] ")[2]
    parts = words.split(maxsplit=2)
    if len(parts) == 3 and parts[0][:4].isdigit() and parts[1].count(":") == 2:  # noqa: PLR2004 - date, time, text
        text = parts[2]
        number, _, rest = text.partition(" ")
        return rest if number.isdigit() else text
    return words


class Program:
    """A running program, and where its messages go."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], messages: IO[bytes] | None) -> None:
        self.name = name
        self.popen = popen
        self._messages = messages

    def check(self, complaint: str = "") -> None:
        """Wait for its end.

        Raises:
            JobFailedError: it failed.
        """
        if failure := self.failure(complaint):
            raise failure

    def failure(self, complaint: str = "") -> JobFailedError | None:
        """Wait for its end; why it failed."""
        status = self.popen.wait()
        if not status:
            return None
        if self._messages is not None:
            self._messages.seek(0)
            complaint = self._messages.read()[-2000:].decode(errors="replace")
        how = f"was killed by signal {-status}" if status < 0 else f"failed with exit status {status}"
        return JobFailedError(Code.TOOL_FAILED, f"{self.name} {how}: {complaint.strip() or 'no message'}")


class _LineWatch(threading.Thread):
    """Reads lines to the end of a pipe."""

    def __init__(self, pipe: IO[bytes], on_line: OnLine) -> None:
        super().__init__(name="messages")
        self._pipe, self._on_line = pipe, on_line
        self.last_line = ""

    def run(self) -> None:
        for raw in self._pipe:
            line = raw.decode(errors="replace").rstrip("\n")
            self.last_line = log_text(line) or self.last_line
            self._on_line(line)


class _Relay(threading.Thread):
    """Moves bytes from one program to the next until either end closes."""

    def __init__(self, source: IO[bytes], sink: IO[bytes]) -> None:
        super().__init__(name="relay")
        self._source, self._sink = source, sink
        self.bytes_moved = 0
        self._error: OSError | None = None

    def run(self) -> None:
        with self._source, self._sink:
            try:
                while moved := os.splice(self._source.fileno(), self._sink.fileno(), CHUNK_BYTES):
                    self.bytes_moved += moved
            except BrokenPipeError:
                pass  # the program there is gone; its exit status says why
            except OSError as error:
                self._error = error

    def finish(self) -> None:
        """Wait for the end; raise what ended it early."""
        self.join()
        if self._error is not None:
            raise JobFailedError(Code.TOOL_FAILED, f"moving bytes between programs failed: {self._error.strerror}")


@contextmanager
def _stop_signals_held() -> Iterator[None]:
    """Keep a signal's exception from coming between the start of a process and its entry on the clean-up stack.

    The children inherit the mask; that is no loss, because they are only ever ended by SIGKILL.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _chain(
    stack: ExitStack,
    commands: Sequence[Argv],
    *,
    stdin: int,
    stdout: int,
    environment: Mapping[str, str] | None = None,
) -> list[Program]:
    """Start programs, each reading what the one before writes."""
    chain: list[Program] = []
    for index, command in enumerate(commands):
        last = index == len(commands) - 1
        before = chain[-1].popen.stdout if chain else None
        output = stdout if last else subprocess.PIPE
        chain.append(_start(stack, command, stdin=before or stdin, stdout=output, environment=environment))
        if before is not None:
            before.close()  # else the one before would never see its reader's end
    return chain


def _start(
    stack: ExitStack,
    command: Argv,
    *,
    stdin: int | IO[bytes],
    stdout: int = subprocess.PIPE,
    stderr: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> Program:
    """Start one program; its messages go to a nameless file unless `stderr` says where."""
    messages: IO[bytes] | None = None
    if stderr is None:
        messages = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
    try:
        popen = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=messages or stderr,
            env=None if environment is None else {**os.environ, **environment},
        )
    except OSError as error:
        raise JobFailedError(Code.TOOL_FAILED, f"{command[0]} can't be started: {error.strerror}") from error
    program = Program(command[0], popen, messages)
    stack.callback(_close, popen)
    stack.callback(_kill, program)
    return program


def _drain(pipe: IO[bytes], sink: Sink, report: Callable[[], object]) -> None:
    ready = select.poll()  # select(2) fails on a descriptor above 1023
    ready.register(pipe.fileno(), select.POLLIN)
    while True:
        readable = ready.poll(_PROGRESS_SECONDS * 1000)
        report()
        if not readable:
            continue
        data = os.read(pipe.fileno(), CHUNK_BYTES)
        if not data:
            return
        sink(data)


def _first_failure(chain: Sequence[Program]) -> JobFailedError | None:
    """What failed first, of programs that read a damaged stream: one that lost its reader is not the cause."""
    failures = [(program.failure(), program.popen.returncode) for program in chain]
    causes = [failure for failure, status in failures if failure is not None and status != -signal.SIGPIPE]
    return next(iter([*causes, *(failure for failure, _ in failures if failure is not None)]), None)


def _write(pipe: IO[bytes], data: bytes) -> bool:
    """Write all; False if nobody reads any more."""
    try:
        pipe.write(data)
        pipe.flush()
    except BrokenPipeError:
        _close_quietly(pipe)
        return False
    return True


def _kill(*programs: Program) -> None:
    for program in programs:
        if program.popen.poll() is None:
            program.popen.kill()
        program.popen.wait()


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            _close_quietly(pipe)


def _close_quietly(pipe: IO[bytes]) -> None:
    with suppress(BrokenPipeError):  # what was still buffered has no reader
        pipe.close()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("the process was started without this pipe")
    return pipe
