"""Kernel files of one folder, kept open between gatherings."""

from __future__ import annotations

from pathlib import Path

from collector.kernelfile import KeptFile


class KeptFiles:
    """Opens each file at its first reading and re-reads it. One that fails is opened anew the next time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, KeptFile] = {}

    def read(self, name: str) -> bytes:
        """The file as it is now.

        Raises:
            OSError: it isn't there, or its device is gone.
        """
        kept = self._files.get(name)
        if kept is None:
            kept = self._files[name] = KeptFile(self._folder / name)
        try:
            return kept.read()
        except OSError:
            self._files.pop(name).close()
            raise

    def read_optional(self, name: str) -> bytes | None:
        """The file as it is now; None where this kernel or device doesn't offer it."""
        try:
            return self.read(name)
        except OSError:
            return None

    def close(self) -> None:
        """Give the descriptors back."""
        for kept in self._files.values():
            kept.close()
        self._files.clear()
