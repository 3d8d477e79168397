"""What takes a minute to make and is the same for every test: made once, kept in a folder of the checkout."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path


def made_once(cache: Path, key: str, make: Callable[[Path], None]) -> Path:
    """The folder that holds what `make` puts there, made first if the cache has none of that key.

    Test processes wait for the one that makes it. What is kept under other keys is removed then; the parent of the
    folder that `make` gets is a temporary one, with room for what isn't kept.
    """
    cache = cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / key
    with _only_one(cache / "lock"):
        if not folder.exists():
            for stale in (path for path in cache.iterdir() if path.is_dir()):
                shutil.rmtree(stale)
            with tempfile.TemporaryDirectory(dir=cache, prefix="making-", ignore_cleanup_errors=True) as name:
                made = Path(name) / key
                made.mkdir()
                make(made)
                made.rename(folder)
    return folder


@contextlib.contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
