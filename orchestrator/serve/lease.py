"""One of several acts: a lease that is renewed, watched, taken over and given back.

No two clocks are compared. Whoever waits watches the row: if nobody has changed it for as long as its holder promised,
by the watcher's own clock from when it saw the row, it takes the lease with the next token. The holder counts from
before it asked for its last renewal, which is earlier than anybody could see it, and stops at two thirds of the time: a
third is left for clocks that run at different rates, and for an act that was begun just before.

The clock must go on while the machine sleeps (CLOCK_BOOTTIME), and goes on while the process is stopped. So one that
is stopped for longer than its lease finds on waking that it holds nothing, before it has asked anybody.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from collector.quantities import Seconds
from orchestrator.ledger import LeaseLostError, LeaseRow

LEASE_SECONDS: Seconds = 15.0
RENEW_EVERY: Seconds = 3.0  # three renewals may fail before the holder stops
_SAFE_PART = 2 / 3


class LeaseStore(Protocol):
    """Where the lease stands; both raise LedgerError where it doesn't answer."""

    def read(self) -> LeaseRow:
        """The row now."""

    def swap(self, seen: LeaseRow, wanted: LeaseRow) -> bool:
        """Write `wanted` if the row is still as it was seen; whether it was."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The lease as its holder has it: until when, by its own clock, in seconds."""

    token: int
    until: float


_NONE = Grant(token=0, until=-math.inf)


class LeaseKeeper:
    """Tries to have the lease. `step` is called by one thread, again and again; the rest by any.

    Args:
        holder: who asks; no other process may ever use the same word.
        clock: seconds; never set, and not stopped by a sleep of the machine.

    Attributes:
        seen: the row as it was last read; None before that.
    """

    def __init__(
        self, store: LeaseStore, holder: str, *, clock: Callable[[], float], seconds: Seconds = LEASE_SECONDS
    ) -> None:
        self.holder = holder
        self.seen: LeaseRow | None = None
        self._store = store
        self._clock = clock
        self._seconds = seconds
        self._seen_at = 0.0
        self._grant = _NONE

    def grant(self) -> Grant | None:
        """The lease, as long as it is held."""
        grant = self._grant
        return grant if self._clock() < grant.until else None

    def require(self, token: int) -> None:
        """Nothing, as long as the lease is held under this token.

        Raises:
            LeaseLostError: it isn't.
        """
        grant = self.grant()
        if grant is None or grant.token != token:
            raise LeaseLostError

    def step(self) -> None:
        """Renew the lease, or take it where nobody holds it any more.

        Raises:
            LedgerError: the ledger doesn't answer; a lease that is held runs out then.
        """
        asked = self._clock()
        row = self._store.read()
        self._watch(row)
        mine = row.holder == self.holder
        if not mine:
            self._grant = _NONE
            if row.holder is not None and not self._is_silent(row):
                return
        token = row.token if mine else row.token + 1
        wanted = LeaseRow(token=token, renewals=row.renewals + 1, holder=self.holder, seconds=self._seconds)
        if self._store.swap(row, wanted):
            self._watch(wanted)
            self._grant = Grant(token, asked + self._seconds * _SAFE_PART)
        elif mine:
            self._grant = _NONE

    def give_back(self) -> None:
        """Let another one have it at once; nothing to do where it isn't held.

        Raises:
            LedgerError: the ledger doesn't answer; the lease runs out by itself.
        """
        self._grant = _NONE
        row = self._store.read()
        if row.holder == self.holder:
            self._store.swap(row, replace(row, renewals=row.renewals + 1, holder=None))

    def _watch(self, row: LeaseRow) -> None:
        """Note when the row was first seen like this; after the answer came, for its renewal may be that young."""
        if row != self.seen:
            self.seen, self._seen_at = row, self._clock()

    def _is_silent(self, row: LeaseRow) -> bool:
        return self._clock() - self._seen_at >= row.seconds
