"""Run `producer | compressor` and write what comes out with direct I/O; every exit status is checked.

A thread moves the bytes between the two by splice(2): they are counted without being copied through this process.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .directio import DirectWriter
from .facts import last_message

_CHUNK_BYTES = 1 << 20
_PROGRESS_SECONDS = 1.0

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

Progress = Callable[[int, int], None]


class PipelineError(Exception):
    """A process of the pipeline failed; the text says which and how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What went through: bytes before and after compression, SHA-256 of the latter."""

    bytes_raw: int
    bytes_stored: int
    sha256: str


def run_pipeline(
    producer: Sequence[str], compressor: Sequence[str], *, output: Path, log: Path, progress: Progress
) -> Stream:
    """Run both to their end; the producer's messages go to `log`.

    `progress` is told at least once a second how many bytes there were before and after compression so far.

    Raises:
        PipelineError: a process could not be started, or failed; names the first cause.
        OSError: the output can't be written.
    """
    with ExitStack() as stack:
        writer = stack.enter_context(DirectWriter(output))
        messages = stack.enter_context(log.open("wb"))
        with _stop_signals_held():
            source = _start(stack, producer, stdin=subprocess.DEVNULL, stderr=messages)
            sink = _start(stack, compressor, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
            relay = _Relay(source, sink)
            relay.start()
            stack.callback(relay.join)
            stack.callback(_kill, source, sink)  # before the join: the relay ends when they do
        _drain(sink, writer, lambda: progress(relay.bytes_moved, writer.bytes_written))
        # The compressor first, because the producer fails after it, on a closed pipe.
        _check_end(sink, compressor[0], lambda: _pipe(sink.stderr).read().decode(errors="replace"))
        _check_end(source, producer[0], lambda: last_message(log.read_text(errors="replace")))
        relay.finish()
        digest = writer.finish()
        progress(relay.bytes_moved, writer.bytes_written)
        return Stream(bytes_raw=relay.bytes_moved, bytes_stored=writer.bytes_written, sha256=digest)


class _Relay(threading.Thread):
    """Moves bytes from the producer to the compressor until either end closes."""

    def __init__(self, source: subprocess.Popen[bytes], sink: subprocess.Popen[bytes]) -> None:
        super().__init__(name="relay")
        self._source, self._sink = _pipe(source.stdout), _pipe(sink.stdin)
        self.bytes_moved = 0
        self._error: OSError | None = None

    def run(self) -> None:
        with self._source, self._sink:
            try:
                while moved := os.splice(self._source.fileno(), self._sink.fileno(), _CHUNK_BYTES):
                    self.bytes_moved += moved
            except BrokenPipeError:
                pass  # the compressor is gone; its exit status says why
            except OSError as error:
                self._error = error

    def finish(self) -> None:
        """Wait for the end; raise what ended it early."""
        self.join()
        if self._error is not None:
            raise PipelineError(f"moving bytes to the compressor failed: {self._error.strerror}") from self._error


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


def _start(stack: ExitStack, command: Sequence[str], *, stdin: int, stderr: int | IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr)
    except OSError as error:
        raise PipelineError(f"{command[0]} can't be started: {error.strerror}") from error
    stack.callback(_close, process)
    stack.callback(_kill, process)
    return process


def _drain(compressor: subprocess.Popen[bytes], writer: DirectWriter, report: Callable[[], None]) -> None:
    descriptor = _pipe(compressor.stdout).fileno()
    ready = select.poll()  # select(2) fails on a descriptor above 1023
    ready.register(descriptor, select.POLLIN)
    while True:
        readable = ready.poll(_PROGRESS_SECONDS * 1000)
        report()
        if not readable:
            continue
        data = os.read(descriptor, _CHUNK_BYTES)
        if not data:
            return
        writer.write(data)


def _check_end(process: subprocess.Popen[bytes], program: str, complaint: Callable[[], str]) -> None:
    status = process.wait()
    if status:
        how = f"was killed by signal {-status}" if status < 0 else f"failed with exit status {status}"
        raise PipelineError(f"{program} {how}: {' '.join(complaint().split()) or 'no message'}")


def _kill(*processes: subprocess.Popen[bytes]) -> None:
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("the process was started without this pipe")
    return pipe
