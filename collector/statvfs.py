"""Sizes of filesystems, asked in child processes because statvfs(3) can hang in the kernel for ever."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from collector.child import ChildPool, Unanswered

FILESYSTEM_CHILD = Path(__file__).with_name("filesystem_child.py")


@dataclass(frozen=True, slots=True)
class FilesystemUsage:
    """Bytes and inodes of one filesystem; `available` is without root's reserve, `device` is `major:minor`."""

    size: int
    free: int
    available: int
    files: int
    files_free: int
    device: str


def ask_usage(children: ChildPool, path: str) -> FilesystemUsage | Unanswered | None:
    """Usage of the filesystem that holds `path`; None for an error, such as a path that is gone."""
    answer = children.ask(path, b"statvfs\0" + os.fsencode(path))
    if isinstance(answer, Unanswered):
        return answer
    match json.loads(answer):
        case [size, free, available, files, files_free, major, minor]:
            return FilesystemUsage(size, free, available, files, files_free, f"{major}:{minor}")
        case _:
            return None


class StatvfsPool:
    """Asks many paths, one after the other.

    Args:
        deadline: seconds for one path.
        limit: children at the most; when all hang, no path gets an answer.
    """

    def __init__(self, deadline: float = 1.0, limit: int = 2) -> None:
        self._children = ChildPool(FILESYSTEM_CHILD, deadline=deadline, limit=limit)

    def usage(self, paths: Sequence[str]) -> dict[str, FilesystemUsage]:
        """Usage by path; a path that hangs, or can't be asked because all children hang, is missing."""
        answers = {path: ask_usage(self._children, path) for path in paths}
        return {path: usage for path, usage in answers.items() if isinstance(usage, FilesystemUsage)}

    @property
    def hanging(self) -> frozenset[str]:
        """The paths that had no answer when they were asked last, and have none yet."""
        return self._children.hanging

    def close(self) -> None:
        """End all children."""
        self._children.close()
