"""Names of block devices by their numbers, from /proc/diskstats (Documentation/admin-guide/iostats.rst)."""

from __future__ import annotations

from pathlib import Path


class BlockDevices:
    """Maps `254:0` to `/dev/vda`; reads the table again when it meets a number that it does not know."""

    def __init__(self, procfs: Path) -> None:
        self._diskstats = procfs / "diskstats"
        self._names: dict[str, str] = {}

    def name(self, numbers: str) -> str:
        """The device's path; the numbers themselves where the kernel has no name for them any more."""
        if numbers not in self._names:
            self._names = {numbers: numbers, **self._read()}
        return self._names[numbers]

    def _read(self) -> dict[str, str]:
        try:
            lines = self._diskstats.read_text(encoding="ascii").splitlines()
        except OSError:
            return {}
        rows = (line.split() for line in lines)
        return {f"{row[0]}:{row[1]}": f"/dev/{row[2]}" for row in rows if len(row) > 2}  # noqa: PLR2004
