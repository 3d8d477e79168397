"""What systemd is told of a service: sd_notify(3), sd_watchdog_enabled(3).

The protocol is a datagram of `NAME=value` lines to the socket that NOTIFY_SOCKET names. Of the libraries, sdnotify had
its last release in 2017, and systemd-python has to be compiled against libsystemd; what is needed of either is below.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

_MICROSECONDS = 10**6
_NANOSECONDS_IN_MICROSECOND = 1000


class Supervisor:
    """The systemd that started this process, or nobody: then nothing is sent.

    Attributes:
        watchdog: seconds within which it wants to hear from the process again; None if it doesn't watch.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # A name that begins with @ is in the abstract namespace, which the kernel writes with a zero byte.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog = _watchdog(environment)

    def ready(self, status: str) -> None:
        """The service runs; `status` is what `systemctl status` shows."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """The configuration is being read again; `ready` ends it."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // _NANOSECONDS_IN_MICROSECOND
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}")

    def alive(self) -> None:
        """The watchdog's time begins anew."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The service ends."""
        self._send("STOPPING=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        # A supervisor that can't be reached is no reason to end; one that watches will say so itself.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto("\n".join(lines).encode(), self._address)


def _watchdog(environment: Mapping[str, str]) -> float | None:
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = environment.get("WATCHDOG_USEC", "")
    return int(microseconds) / _MICROSECONDS if microseconds.isdecimal() and int(microseconds) else None
