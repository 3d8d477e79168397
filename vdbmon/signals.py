"""Signals of a process that runs until it is told to end, and systemd's watchdog in between."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable

from collector.quantities import Seconds
from vdbmon.systemd import Supervisor

_MILLISECONDS = 1000
_PINGS = 3  # in the watchdog's time: one may be late, and one may be lost


def next_signal(
    wait: Callable[[Seconds | None], int | None], lives: Callable[[Seconds], bool], supervisor: Supervisor
) -> int:
    """Wait for a signal. Meanwhile the watchdog hears each time that `lives` says so of the last so many seconds."""
    pause = None if supervisor.watchdog is None else supervisor.watchdog / _PINGS
    while True:
        received = wait(pause)
        if received is not None:
            return received
        if pause is not None and lives(pause):
            supervisor.alive()


class Signals:
    """Signals as bytes in a pipe, which Python's own handler in C writes there.

    A handler in Python would run only once the main thread does, and a signal that comes just before it begins to wait
    would not wake it.
    """

    def __init__(self, *numbers: int) -> None:
        self._reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, lambda _number, _frame: None)

    def wait(self, seconds: Seconds | None) -> int | None:
        """The next signal; None if none came in that time."""
        ready = select.poll()
        ready.register(self._reader, select.POLLIN)
        if not ready.poll(None if seconds is None else seconds * _MILLISECONDS):
            return None
        return os.read(self._reader, 1)[0]
