"""Mounts as the kernel sees them: /proc/PID/mountinfo (proc_pid_mountinfo(5))."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from collector.kernelfile import SkippedLines, complete_lines

_OCTAL = re.compile(rb"\\([0-7]{3})")
_NUMBER = re.compile(rb"\d+:\d+")
_FIRST_FIELDS = 6  # mount id, parent id, major:minor, root, mount point, options; then optional fields and a dash
_LAST_FIELDS = 3  # type, source, options of the superblock


@dataclass(frozen=True, slots=True)
class Mount:
    """One line.

    Attributes:
        number: `major:minor` of the filesystem.
        root: the folder of the filesystem that is mounted; `/` where all of it is.
        device: what is mounted: a device's path, or a word of the filesystem's own.
        options: of the superblock, as one text: an overlay's folders are in it.
    """

    number: str
    root: str
    point: str
    fstype: str
    device: str
    options: str

    @property
    def readonly(self) -> bool:
        """Whether the filesystem itself is read-only, as ext4 makes itself after an error."""
        return "ro" in self.options.split(",")

    def option(self, name: str) -> str | None:
        """The value of one `name=value` of the options."""
        prefix = f"{name}="
        return next((word.removeprefix(prefix) for word in self.options.split(",") if word.startswith(prefix)), None)


def parse_mountinfo(data: bytes, skipped: SkippedLines, points: Collection[str] | None = None) -> Iterator[Mount]:
    """The mounts in their order: a later one at the same point hides the earlier.

    `points` are those that are wanted, if not all: most lines of a container are of its /proc and can be passed over.
    """
    for line in complete_lines(data, skipped):
        left, dash, right = line.partition(b" - ")
        first, last = left.split(b" "), right.split(b" ")
        if not dash or len(first) < _FIRST_FIELDS or len(last) != _LAST_FIELDS or not _NUMBER.fullmatch(first[2]):
            skipped.add()
        elif points is None or mount_text(first[4]) in points:
            yield Mount(*(mount_text(field) for field in (first[2], first[3], first[4], *last)))


def mount_text(field: bytes) -> str:
    """A field of mountinfo or mounts, surrogates for bytes that are no UTF-8.

    The kernel writes space, tab, newline and backslash as octal numbers.
    """
    unescaped = _OCTAL.sub(lambda match: bytes((int(match[1], 8) & 0xFF,)), field) if b"\\" in field else field
    return unescaped.decode(errors="surrogateescape")
