"""Commands that the agent runs for its inputs: no shell, hardly any environment, an end that can be relied on."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from collector.errors import VdbmonError

# PATH and nothing of the agent's own: neither its secrets nor its Python path.
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "HOME": "/",
}

# Leads the process group of a command, and kills it when the agent is gone: the other end of its standard input is the
# agent's alone. PR_SET_PDEATHSIG would reach the command but not what that has started.
_GUARD = ("/bin/sh", "-c", "read -r _; kill -KILL 0")

_CHUNK = 64 * 1024
_KEPT_MESSAGES = 4096
_PAUSE = 0.05  # seconds between looks at a command that is silent


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended. `status` is negative for a signal, `message` the last line of its standard error."""

    status: int
    output: bytes
    message: str


class CommandError(VdbmonError):
    """The command could not be started, or had to be ended."""


def run_command(command: Sequence[str], *, timeout: float, max_output: int) -> CommandResult:
    """Run a command to its end, in a process group that is killed as a whole whatever comes.

    What it leaves running in its group ends with it, and both end with the agent, also with one that is killed. A
    process that the kernel does not let go is waited for: the caller is in a background thread, and nothing may take
    its place.

    Args:
        command: the program and its arguments.
        timeout: seconds.
        max_output: bytes of standard output.

    Raises:
        CommandError: `command.not_started`, `command.timeout`, `command.output`.
    """
    with (
        _started(_GUARD, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, group=0) as guard,
        _started(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, group=guard.pid) as process,
    ):
        output, messages = _read_all(process, command[0], time.monotonic() + timeout, max_output)
    return CommandResult(process.returncode, output, _last_line(messages))


@contextlib.contextmanager
def _started(command: Sequence[str], *, stdin: int, stdout: int, group: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group, 0 for one of its own, that is killed with its group and reaped.

    Raises:
        CommandError: `command.not_started`.
    """
    try:
        process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd="/",
            env=ENVIRONMENT,
            process_group=group,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise CommandError("command.not_started", f"{command[0]} can't be started: {reason}") from error
    with process:
        try:
            yield process
        finally:
            # The group's number can't be another's before its guard, which leads it, is reaped.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group or process.pid, signal.SIGKILL)


def _read_all(process: subprocess.Popen[bytes], name: str, end: float, max_output: int) -> tuple[bytes, bytes]:
    """Standard output and the end of standard error, once the process has ended; descendants may hold both open."""
    assert process.stdout is not None  # noqa: S101 - PIPE above
    assert process.stderr is not None  # noqa: S101 - PIPE above
    streams = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    output, messages = streams.values()
    with selectors.DefaultSelector() as selector:
        for descriptor in streams:
            os.set_blocking(descriptor, False)
            selector.register(descriptor, selectors.EVENT_READ)
        while True:
            ended = _has_ended(process.pid)
            ready = selector.select(0.0 if ended else _PAUSE)
            if ended and not ready:
                return bytes(output), bytes(messages)
            for key, _ in ready:
                data = os.read(key.fd, _CHUNK)
                if not data:
                    selector.unregister(key.fd)
                streams[key.fd] += data
            del messages[:-_KEPT_MESSAGES]
            if len(output) > max_output:
                raise CommandError("command.output", f"{name} wrote more than {max_output} bytes")
            if time.monotonic() > end:
                raise CommandError("command.timeout", f"{name} did not end in time")


def _has_ended(pid: int) -> bool:
    """Whether a child has ended; it is not reaped."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _last_line(messages: bytes) -> str:
    lines = messages.decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
