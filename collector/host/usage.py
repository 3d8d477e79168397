"""Usage of the host's filesystems: asked apart, while the kernel's other files are read."""

from __future__ import annotations

from collections.abc import Iterator

from collector.background import Background
from collector.clock import Clock
from collector.host.files import KeptFiles
from collector.host.filesystems import Mount, parse_mounts
from collector.kernelfile import SkippedLines
from collector.statvfs import FilesystemUsage, StatvfsPool

_EVERY = 4.0  # seconds; below the usual scrape intervals, so that each scrape starts a round
_WAIT = 1.5  # seconds: a filesystem that hangs is given up after one


class HostFilesystems:
    """The filesystems that are mounted, and their usage a few seconds ago at most."""

    def __init__(
        self, files: KeptFiles, filesystems: StatvfsPool, skipped: SkippedLines, clock: Clock, monotonic: Clock
    ) -> None:
        self._files = files
        self._skipped = skipped
        self._filesystems = filesystems
        self._table = b""
        self._mounts: list[Mount] = []
        self._no_mounts: OSError | None = None
        self._usages = Background("filesystems", _EVERY, self._ask, clock, monotonic=monotonic)

    def start(self) -> None:
        """Have them asked, if it is time to. Mounts are those of process 1: we may live in another namespace."""
        try:
            table = self._files.read("1/mounts")
        except OSError as error:
            self._no_mounts = error
            return
        self._no_mounts = None
        if table != self._table:
            self._mounts, self._table = parse_mounts(table, self._skipped), table
            self._usages.expire()
        self._usages.start_if_due()
        self._usages.wait(0.0)

    def usages(self) -> Iterator[tuple[Mount, FilesystemUsage | None]]:
        """Each mount and its usage, None where it has no answer; one mounted a moment ago is left out.

        Raises:
            OSError: the mounts can't be read, or nothing can be asked.
        """
        if self._no_mounts is not None:
            raise self._no_mounts
        self._usages.wait(_WAIT)
        if self._usages.error is not None:
            raise OSError(str(self._usages.error))
        known = self._usages.result or {}
        for mount in self._mounts:
            if mount.point in known:
                yield mount, known[mount.point]

    def hangs(self, mount: Mount) -> bool:
        """Whether it had no answer when it was asked last, and has none yet."""
        return mount.point in self._filesystems.hanging

    def _ask(self) -> dict[str, FilesystemUsage | None]:
        points = [mount.point for mount in self._mounts]
        return dict.fromkeys(points) | self._filesystems.usage(points)
