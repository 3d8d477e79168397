"""Basic authentication (RFC 7617) against bcrypt hashes, at a cost that no client can raise.

A comparison takes a twentieth of a second of CPU on purpose, so it must be done rarely. What one came to is remembered,
as the exporter-toolkit does, so a Prometheus that knows its password costs one comparison in the server's life. Wrong
passwords get one comparison at a time, one a second for each client, and a tenth of a core altogether; what is beyond
that is turned away unanswered. A client whose password is known already is never held up by others.
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from collector.clock import Clock
from collector.quantities import Seconds

MOST_VERDICTS = 100  # remembered; the oldest go first
MOST_CLIENTS = 1000  # whose last failure is remembered; likewise
CLIENT_WAIT: Seconds = 1.0  # from a client's failure to the next comparison for it
REST = 9  # times as long as a failed comparison took, until the next one for anybody
QUEUE_WAIT: Seconds = 1.0  # for a comparison under way: two Prometheus servers may come at once
_LONGEST_PASSWORD = 72  # bytes; bcrypt looks at no more

Compare = Callable[[bytes, bytes], bool]
Key = TypeVar("Key")
Value = TypeVar("Value")


class Verdict(enum.Enum):
    """Of one request; `BUSY` where it could not be looked at."""

    ALLOWED = enum.auto()
    DENIED = enum.auto()
    BUSY = enum.auto()


def bcrypt_compare(password: bytes, hashed: bytes) -> bool:
    """Whether the password has that hash."""
    import bcrypt  # noqa: PLC0415 - a server without passwords does without the library

    return bcrypt.checkpw(password, hashed)


class BasicAuth:
    """Judges `Authorization` headers; used by several threads."""

    def __init__(self, compare: Compare = bcrypt_compare, monotonic: Clock = time.monotonic) -> None:
        self._compare = compare
        self._monotonic = monotonic
        self._salt = os.urandom(16)
        self._verdicts: dict[bytes, bool] = {}
        self._failures: dict[str, float] = {}
        self._rest_until = float("-inf")
        self._comparing = threading.Lock()

    def judge(self, users: Mapping[str, bytes], authorization: str, client: str) -> Verdict:
        """What becomes of a request of this client (its address); `users` are hashes by name, at least one."""
        credentials = parse_credentials(authorization)
        if credentials is None or len(credentials[1]) > _LONGEST_PASSWORD:
            return Verdict.DENIED
        name, password = credentials
        # An unknown user costs a comparison too: the time of an answer must not tell who exists.
        hashed = users.get(name) or next(iter(users.values()))
        key = hashlib.sha256(b"\0".join((self._salt, name.encode(), hashed, password))).digest()
        known = self._verdicts.get(key)
        if known is not None:
            return Verdict.ALLOWED if known else Verdict.DENIED
        if self._monotonic() - self._failures.get(client, float("-inf")) < CLIENT_WAIT:
            return Verdict.BUSY
        if not self._comparing.acquire(timeout=QUEUE_WAIT):
            return Verdict.BUSY
        try:
            return self._judge_unknown(key, password, hashed, client, exists=name in users)
        finally:
            self._comparing.release()

    def _judge_unknown(self, key: bytes, password: bytes, hashed: bytes, client: str, *, exists: bool) -> Verdict:
        if key in self._verdicts:  # another request brought the same while this one waited
            return Verdict.ALLOWED if self._verdicts[key] else Verdict.DENIED
        began = self._monotonic()
        if began < self._rest_until:
            return Verdict.BUSY
        good = self._compare(password, hashed) and exists
        _remember(self._verdicts, key, good, MOST_VERDICTS)
        if good:
            return Verdict.ALLOWED
        ended = self._monotonic()
        self._rest_until = ended + REST * (ended - began)
        _remember(self._failures, client, ended, MOST_CLIENTS)
        return Verdict.DENIED


def parse_credentials(authorization: str) -> tuple[str, bytes] | None:
    """User and password of a `Basic` header; None for anything else."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        user = name.decode()
    except (binascii.Error, ValueError):
        return None
    return (user, password) if scheme.lower() == "basic" and colon and b"\0" not in password else None


def _remember(memory: dict[Key, Value], key: Key, value: Value, most: int) -> None:
    memory.pop(key, None)
    memory[key] = value
    if len(memory) > most:
        del memory[next(iter(memory))]
