"""One `up` or `down` of a stack at a time; the kernel frees the lock whatever ends its holder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from collector.errors import VdbmonError


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock of a stack.

    Raises:
        VdbmonError: `stack.locked`, another command holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor, path)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = path.read_text(encoding="ascii") or "?"
        raise VdbmonError(
            "stack.locked", f"`vdbmon stack` runs already (pid {holder})", "wait until it ends, or stop it"
        ) from None
