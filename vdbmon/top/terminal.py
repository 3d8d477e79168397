"""The terminal: its modes, its size, its keys, and what is written to it (termios(3), console_codes(4))."""

from __future__ import annotations

import codecs
import contextlib
import locale
import os
import re
import select
import signal
import sys
import termios
import tty
from collections.abc import Callable, Mapping
from types import FrameType, TracebackType
from typing import Any, Self, TextIO

from rich.console import Console
from rich.text import Text

from vdbmon.top.frame import Size
from vdbmon.top.glyphs import ASCII, UTF8, Glyphs

PLAIN_WIDTH = 160  # of a file or pipe, which has none of its own

_USUAL = Size(80, 24)
_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"  # the other screen, no cursor, no wrapping at the right edge
_LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
_KEYS_AT_ONCE = 1024
_UNFINISHED = re.compile(r"\x1b([\[O][0-9;]*)?$")  # the beginning of a control sequence, or the key Esc
_REST_OF_A_KEY = 0.05  # seconds in which a slow line brings the rest

_Handler = Callable[[int, FrameType | None], Any] | int | None


class Ended(Exception):  # noqa: N818 - a signal, no error
    """SIGTERM or SIGINT has come, or the terminal is gone (as SIGHUP); raised wherever the program is."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def is_interactive(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether there is a terminal to type at and to draw on."""
    return sys.stdin.isatty() and sys.stdout.isatty() and environment.get("TERM", "dumb") not in {"", "dumb"}


def glyphs_of(output: TextIO) -> Glyphs:
    """What the terminal can show. The locale counts as well: Python writes UTF-8 under LC_ALL=C, terminals don't."""
    encodings = (output.encoding or "ascii", locale.getencoding())
    return UTF8 if all(codecs.lookup(encoding).name == "utf-8" for encoding in encodings) else ASCII


def plain_width(output: TextIO, environment: Mapping[str, str] = os.environ) -> int:
    """Columns of what is printed once: the terminal's, else COLUMNS, else enough for all columns of the table."""
    if output.isatty():
        return os.get_terminal_size(output.fileno()).columns or _USUAL.width
    columns = environment.get("COLUMNS", "")
    return int(columns) if columns.isdecimal() and int(columns) else PLAIN_WIDTH


class Terminal:
    """The terminal while `top` has it: entering takes it over, leaving gives it back as it was, whatever happened.

    Ctrl-Z gives it back for as long as the program is stopped.
    """

    def __init__(self) -> None:
        self._keyboard = sys.stdin.fileno()
        self._output = sys.stdout
        self._console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._modes = termios.tcgetattr(self._keyboard)
        self._wake_reader, self._wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._handlers: dict[int, _Handler] = {}

    def __enter__(self) -> Self:
        signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        ours = {signal.SIGTERM: _end, signal.SIGINT: _end, signal.SIGTSTP: self._stop, signal.SIGWINCH: _noticed}
        try:
            self._handlers = {number: signal.signal(number, handler) for number, handler in ours.items()}
            self._take()
        except BaseException:
            self._give_back()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for number in self._handlers:
                signal.signal(number, signal.SIG_IGN)  # a second one must not cut the next lines short
        finally:
            self._give_back()
        signal.set_wakeup_fd(-1)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        os.close(self._wake_reader)

    @property
    def size(self) -> Size:
        """As it is now; a serial console doesn't know its own."""
        width, height = os.get_terminal_size(self._output.fileno())
        return Size(width or _USUAL.width, height or _USUAL.height)

    def wake(self) -> None:
        """Make `wait` return; may be called in any thread."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError):  # full of such calls already, or at the end
            os.write(self._wake_writer, b"\0")

    def wait(self, seconds: float) -> str:
        """What was typed within that time; empty after a signal, a call of `wake`, or none of them.

        Raises:
            Ended: the terminal is gone.
        """
        ready, _, _ = select.select([self._keyboard, self._wake_reader], [], [], max(seconds, 0.0))
        if self._wake_reader in ready:
            os.read(self._wake_reader, _KEYS_AT_ONCE)
        if self._keyboard not in ready:
            return ""
        typed = self._read()
        while _UNFINISHED.search(typed) and select.select([self._keyboard], [], [], _REST_OF_A_KEY)[0]:
            typed += self._read()
        return typed

    def draw(self, lines: list[Text]) -> None:
        """Replace the screen.

        Raises:
            Ended: the terminal is gone.
        """
        with self._console.capture() as captured:
            self._console.print(Text("\n").join(lines), end="")
        text = captured.get().replace("\n", f"{_CLEAR_LINE}\r\n")
        try:
            self._write(f"{_HOME}{text}{_CLEAR_LINE}{_CLEAR_BELOW}")
        except OSError as error:
            raise Ended(signal.SIGHUP) from error

    def _read(self) -> str:
        try:
            data = os.read(self._keyboard, _KEYS_AT_ONCE)
        except OSError:
            data = b""
        if not data:
            raise Ended(signal.SIGHUP)
        return self._decoder.decode(data)

    def _take(self) -> None:
        tty.setcbreak(self._keyboard, termios.TCSADRAIN)
        self._write(_ENTER)

    def _give_back(self) -> None:
        with contextlib.suppress(OSError, termios.error):  # it may be gone
            self._write(_LEAVE)
            termios.tcsetattr(self._keyboard, termios.TCSADRAIN, self._modes)

    def _write(self, text: str) -> None:
        """Past Python's buffer, which a signal's handler may not enter while it is being written."""
        data = text.encode(self._output.encoding, "replace")
        while data:
            data = data[os.write(self._output.fileno(), data) :]

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self._give_back()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # goes on from here when it is continued
        signal.signal(number, self._stop)
        self._take()


def _noticed(_number: int, _frame: FrameType | None) -> None:
    """A handler that does nothing: the signal has woken `wait`."""


def _end(number: int, _frame: FrameType | None) -> None:
    raise Ended(number)
