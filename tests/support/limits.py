"""What the kernel refuses to a process that has come to a limit; each for the time of a block."""

from __future__ import annotations

import contextlib
import resource
import threading
from collections.abc import Iterator

_BEYOND_ALL_MEMORY = 1 << 46


@contextlib.contextmanager
def no_more_threads() -> Iterator[None]:
    """Every new thread is refused: there is no room for its stack."""
    before = threading.stack_size(_BEYOND_ALL_MEMORY)
    try:
        yield
    finally:
        threading.stack_size(before)


def no_more_descriptors() -> contextlib.AbstractContextManager[None]:
    """Every new descriptor is refused; those that are open stay so."""
    return _limited(resource.RLIMIT_NOFILE, 0)


def files_end_at(size: int) -> contextlib.AbstractContextManager[None]:
    """What goes beyond is refused after a part of it was written, as on a disk that is full."""
    return _limited(resource.RLIMIT_FSIZE, size)


@contextlib.contextmanager
def _limited(what: int, soft: int) -> Iterator[None]:
    before = resource.getrlimit(what)
    resource.setrlimit(what, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(what, before)
