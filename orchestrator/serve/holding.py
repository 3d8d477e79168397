"""The ledger and the lease in it, in a thread of their own: opened as soon as that works, kept until told to stop."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable

from collector.errors import VdbmonError
from collector.quantities import Seconds
from orchestrator.ledger import LeaseRow, Ledger
from orchestrator.serve.lease import LEASE_SECONDS, RENEW_EVERY, Grant, LeaseKeeper

logger = logging.getLogger(__name__)

RETRY_EVERY: Seconds = 1.0
SLOW_SECONDS: Seconds = 5.0
"""Without an answer, after which the ledger is said to be away."""


def boot_clock() -> float:
    """Seconds since the machine started, its sleep included; a process that is stopped finds them gone by."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def holder_name(local_host: str) -> str:
    """Who this process is: no other one is ever called so."""
    return f"{local_host} pid {os.getpid()} {uuid.uuid4().hex[:8]}"


class Holding:
    """Keeps the lease as long as it runs.

    Args:
        open_ledger: tried again until it works.
        holder: of `holder_name`.
    """

    def __init__(self, open_ledger: Callable[[], Ledger], holder: str, *, seconds: Seconds = LEASE_SECONDS) -> None:
        self.holder = holder
        self._open = open_ledger
        self._seconds = seconds
        self._opened: tuple[Ledger, LeaseKeeper] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        self._told = ""
        self._error: str | None = "the ledger isn't open yet"
        self._asked_at: float | None = None

    def start(self) -> None:
        """Begin to ask for the lease."""
        self._thread.start()

    def stop(self, deadline: Seconds) -> None:
        """Give the lease back and close the ledger; where that takes longer, the lease runs out by itself."""
        self._stop.set()
        self._thread.join(deadline)

    @property
    def error(self) -> str | None:
        """Why the ledger is of no use now; None where it answered last, and lately."""
        asked = self._asked_at
        waited = 0.0 if asked is None else boot_clock() - asked
        return f"the ledger hasn't answered for {waited:.0f} s" if waited > SLOW_SECONDS else self._error

    def opened(self) -> tuple[Ledger, LeaseKeeper] | None:
        """The ledger, not behind any fence, and the lease in it; None before it could be opened."""
        return self._opened

    def grant(self) -> Grant | None:
        """The lease, as long as it is held."""
        return self._opened[1].grant() if self._opened else None

    def seen(self) -> LeaseRow | None:
        """The lease as the ledger had it last."""
        return self._opened[1].seen if self._opened else None

    def _run(self) -> None:
        with contextlib.ExitStack() as stack:
            pause = 0.0
            while not self._stop.wait(pause):
                pause = RENEW_EVERY if self._attempt(stack) else RETRY_EVERY
            self._give_back()

    def _attempt(self, stack: contextlib.ExitStack) -> bool:
        """One look at the lease; whether it is held."""
        self._asked_at = boot_clock()
        try:
            if self._opened is None:
                ledger = stack.enter_context(contextlib.closing(self._open()))
                keeper = LeaseKeeper(ledger.leases(), self.holder, clock=boot_clock, seconds=self._seconds)
                self._opened = ledger, keeper
            self._opened[1].step()
        except VdbmonError as error:
            self._tell(logging.WARNING, f"lease: {error}")
            self._error = str(error)
            return False
        except Exception as error:  # noqa: BLE001 - the thread must live on
            self._tell(logging.ERROR, f"lease: {error!r}")
            self._error = repr(error)
            return False
        finally:
            self._asked_at = None
        self._error = None
        grant, row = self.grant(), self.seen()
        if grant is not None:
            self._tell(logging.INFO, f"the lease is held, token {grant.token}")
        else:
            self._tell(logging.INFO, f"waiting for the lease, which {row.holder if row else 'nobody'} holds")
        return grant is not None

    def _give_back(self) -> None:
        if self._opened is None:
            return
        held = self.grant()
        try:
            self._opened[1].give_back()
            if held is not None:
                logger.info("the lease is given back, token %d", held.token)
        except VdbmonError as error:
            logger.warning("the lease was not given back, and runs out in %g s: %s", self._seconds, error)

    def _tell(self, level: int, text: str) -> None:
        """Log what is new."""
        if text != self._told:
            logger.log(level, text)
        self._told = text
