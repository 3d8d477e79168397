"""Run programs joined by pipes; every exit status is checked, and no process outlives the call."""

from __future__ import annotations

import hashlib
import os
import re
import select
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

from .errors import Code, JobFailedError
from .relay import CHUNK_BYTES, Relay

_PROGRESS_SECONDS = 1.0
_LAST_LINES = 20
_COMPLAINTS = 2  # the first is the cause
_COMPLAINT_LENGTH = 500
_COMPLAINT = re.compile(r"error|fatal|fail|can't|cannot|denied|wrong|refused|missing", re.IGNORECASE)
_GLIB_PREFIX = re.compile(r"^\*\* \(\w+:\d+\): [A-Z]+ \*\*: [\d:.]+: ")
_NO_COMPLAINT = ("age: report unexpected", "[Note]")

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

T = TypeVar("T")
Argv = Sequence[str]
Sink = Callable[[bytes], object]
Progress = Callable[[int], object]
OnLine = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class FirstProgram:
    """What can be done to the first program of a pipeline while it runs.

    Attributes:
        kill: end it at once.
        absorb: take into memory what it writes from now on, so that it waits for nobody; see `Relay`.
    """

    kill: Callable[[], object]
    absorb: Callable[[], object]


OnStart = Callable[[FirstProgram], object]


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

    `progress` is told that number at least once a second, unless `sink` takes longer. `on_start` gets the first one;
    `on_line` each line of its standard error, from a thread.

    Raises:
        JobFailedError: a process could not be started, or failed; names the first cause.
    """
    with ExitStack() as stack:
        with _stop_signals_held():
            source = _start(stack, commands[0], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
            chain = _chain(stack, commands[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            watch = _LineWatch(_pipe(source.popen.stderr), on_line)
            relay = Relay(_pipe(source.popen.stdout), _pipe(chain[0].popen.stdin))
            on_start(FirstProgram(source.popen.kill, relay.absorb))
            for thread in (watch, relay):
                thread.start()
                stack.callback(thread.join)
            stack.callback(_kill, source, *chain)  # before the joins: the threads end when the processes do
        _drain(_pipe(chain[-1].popen.stdout), sink, lambda: progress(relay.bytes_moved))
        for program in reversed(chain):  # those after the first end well on an early end; the first fails after them
            program.check()
        source.popen.wait()
        watch.join()
        source.check(watch.complaint())
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


def read_from(command: Argv, take: Callable[[IO[bytes]], T], *, environment: Mapping[str, str] | None = None) -> T:
    """Run one program and give `take` what it prints, as it comes; what `take` makes of it.

    `environment` is added to the present one, here and below.

    Raises:
        JobFailedError: it could not be started, or failed.
    """
    with ExitStack() as stack:
        with _stop_signals_held():
            program = _start(stack, command, stdin=subprocess.DEVNULL, environment=environment)
            stack.callback(_kill, program)
        output = _pipe(program.popen.stdout)
        result = take(output)
        while output.read(CHUNK_BYTES):  # so that it ends by itself, and says how
            pass
        program.check()
        return result


def join(commands: Sequence[Argv], *, environment: Mapping[str, str] | None = None) -> None:
    """Run `commands[0] | commands[1] | ...`, of which nothing comes out.

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


def run(command: Argv, *, environment: Mapping[str, str] | None = None, fatal: str | None = None) -> str:
    """Run one program without input; what it printed. A message with the word `fatal` is a failure all the same.

    Raises:
        JobFailedError: it could not be started, or failed.
    """
    with ExitStack() as stack:
        with _stop_signals_held():
            program = _start(stack, command, stdin=subprocess.DEVNULL, environment=environment)
            stack.callback(_kill, program)
        output = _pipe(program.popen.stdout).read()
        program.popen.wait()
        if fatal is not None and (lines := [line for line in program.messages() if fatal in line]):
            raise JobFailedError(Code.TOOL_FAILED, f"{program.name} failed: {complaint_of(lines[:_LAST_LINES])}")
        program.check()
        return output.decode(errors="replace")


def log_text(line: str) -> str:
    """A line of a MariaDB program's or mydumper's log without thread and time."""
    words = _GLIB_PREFIX.sub("", line.strip())
    if words.startswith("[") and "] " in words[:8]:
        words = words.partition("] ")[2]
    parts = words.split(maxsplit=2)
    if len(parts) == 3 and parts[0][:4].isdigit() and parts[1].count(":") == 2:  # noqa: PLR2004 - date, time, text
        text = parts[2]
        number, _, rest = text.partition(" ")
        return rest if number.isdigit() else text
    return words


def complaint_of(lines: Iterable[str]) -> str:
    """What went wrong, out of a program's last messages: those that speak of an error, else the last one."""
    texts = [text for line in lines if (text := log_text(line)) and not text.startswith(_NO_COMPLAINT)][-_LAST_LINES:]
    errors = list(dict.fromkeys(text for text in texts if _COMPLAINT.search(text)))
    return " ".join(errors[:_COMPLAINTS] or texts[-1:])[:_COMPLAINT_LENGTH]


class Program:
    """A running program, and where its messages go."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], messages: IO[bytes] | None) -> None:
        self.name = name
        self.popen = popen
        self._messages = messages

    def messages(self) -> list[str]:
        """What it wrote to its standard error, where nobody else reads that."""
        if self._messages is None:
            return []
        self._messages.seek(0)
        return self._messages.read().decode(errors="replace").splitlines()

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
        complaint = complaint_of(self.messages()) or complaint
        how = f"was killed by signal {-status}" if status < 0 else f"failed with exit status {status}"
        return JobFailedError(Code.TOOL_FAILED, f"{self.name} {how}: {complaint or 'no message'}")


class _LineWatch(threading.Thread):
    """Reads lines to the end of a pipe."""

    def __init__(self, pipe: IO[bytes], on_line: OnLine) -> None:
        super().__init__(name="messages")
        self._pipe, self._on_line = pipe, on_line
        self._last: deque[str] = deque(maxlen=_LAST_LINES)

    def run(self) -> None:
        for raw in self._pipe:
            line = raw.decode(errors="replace").rstrip("\n")
            self._last.append(line)
            self._on_line(line)

    def complaint(self) -> str:
        """What it said went wrong."""
        return complaint_of(self._last)


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
