"""A program in a terminal: a pseudo-terminal, and what an emulator of one (pyte) has on its screen."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator, Sequence

import pyte

from tests.support.servers import stop
from tests.support.wait import wait_until

_CHUNK = 65536


class TerminalProgram:
    """A program whose controlling terminal is the emulator's.

    Attributes:
        raw: all that the program has written.
    """

    def __init__(
        self, command: Sequence[str], width: int, height: int, environment: dict[str, str] | None = None
    ) -> None:
        self._master, self._slave = pty.openpty()
        self._readable = select.poll()  # select(2) stops at descriptor 1023
        self._readable.register(self._master, select.POLLIN)
        self._screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = bytearray()
        self.resize(width, height)
        self.modes = termios.tcgetattr(self._slave)
        self.process = subprocess.Popen(
            command,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no threads hold locks here
            env={**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **(environment or {})},
        )

    @property
    def lines(self) -> list[str]:
        """The lines of the screen as they are now."""
        while self._readable.poll(0):
            try:
                data = os.read(self._master, _CHUNK)
            except OSError:
                break
            self.raw += data
            self._stream.feed(data)
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        """The screen."""
        return "\n".join(self.lines)

    @property
    def modes_now(self) -> list[object]:
        """The terminal's modes, to be compared with `modes` of before."""
        return termios.tcgetattr(self._slave)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    def resize(self, width: int, height: int) -> None:
        """Give the terminal another size; its program gets SIGWINCH."""
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self._screen.resize(height, width)

    def wait_for(self, text: str, deadline: float = 20.0) -> str:
        """The screen once it shows the text."""
        return wait_until(
            lambda: shown if text in (shown := self.text) else None, deadline=deadline, what=f"{text!r} is shown"
        )

    def end(self, deadline: float = 10.0) -> int:
        """The exit code, once the program has ended; negative after a signal."""

        def ended() -> tuple[int] | None:
            _ = self.lines  # a program that waits to write doesn't end
            code = self.process.poll()
            return None if code is None else (code,)

        (code,) = wait_until(ended, deadline=deadline, what="the end of the program")
        _ = self.lines
        return code

    def close(self) -> None:
        """End the program and close the terminal."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        stop(self.process)
        os.close(self._master)
        os.close(self._slave)


@contextlib.contextmanager
def in_terminal(
    command: Sequence[str], width: int = 80, height: int = 24, environment: dict[str, str] | None = None
) -> Iterator[TerminalProgram]:
    """A program in a terminal of its own; it is gone afterwards."""
    program = TerminalProgram(command, width, height, environment)
    try:
        yield program
    finally:
        program.close()
