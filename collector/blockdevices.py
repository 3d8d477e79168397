"""Names of block devices by their numbers, from /proc/diskstats (Documentation/admin-guide/iostats.rst)."""

from __future__ import annotations

from pathlib import Path

from collector.kernelfile import SkippedLines, complete_lines, is_number, read_file


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
            data = read_file(self._diskstats)
        except OSError:
            return {}
        rows = (line.split() for line in complete_lines(data, SkippedLines()))  # the host input counts them
        return {
            f"{row[0].decode()}:{row[1].decode()}": f"/dev/{row[2].decode(errors='replace')}"
            for row in rows
            if len(row) > 2 and is_number(row[0]) and is_number(row[1])  # noqa: PLR2004
        }
