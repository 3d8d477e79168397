"""What a disk can do, measured with fio (https://fio.readthedocs.io): sequential bytes/s, random operations/s.

Direct I/O, past the page cache. Bounded in bytes and in time. The file is unlinked before fio writes into it, so the
kernel frees it whatever happens to fio and to vdbmon. A raw device is only ever read.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collector.errors import ConfigError, VdbmonError
from collector.quantities import format_bytes

SIZE_BYTES = 1 << 30
RUN_SECONDS = 5.0

_MIB = 1 << 20
_SMALLEST_BYTES = 16 * _MIB
_GRACE_SECONDS = 30.0
"""Beyond the time that fio was given."""
_DEPTH = 32

RunFio = Callable[[Sequence[str], float], str]
"""Command and seconds; what fio printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFigures:
    """What was measured: bytes per second in requests of 1 MiB, operations per second of 4 KiB and of 16 KiB.

    Attributes:
        where: the folder or device.
        write_bps: None for a device, which is not written, as all writes.
    """

    where: str
    read_bps: int
    write_bps: int | None
    read_iops_4k: int
    read_iops_16k: int
    write_iops_4k: int | None
    write_iops_16k: int | None

    def inventory(self) -> Mapping[str, str | int]:
        """The keys of `[hosts.inventory]` that follow, rounded down. InnoDB's pages have 16 KiB, so those count."""
        lines: dict[str, str | int | None] = {
            "read_bps": _megabytes(self.read_bps),
            "write_bps": _megabytes(self.write_bps),
            "read_iops": _two_digits(self.read_iops_16k),
            "write_iops": _two_digits(self.write_iops_16k),
        }
        return {key: value for key, value in lines.items() if value is not None}


def probe_folder(
    folder: Path, *, size: int = SIZE_BYTES, seconds: float = RUN_SECONDS, run: RunFio | None = None
) -> DiskFigures:
    """Measure the filesystem under a folder with a file of at most `size` bytes, each of six runs at most `seconds`.

    Raises:
        ConfigError: `probe.folder`, `probe.size`.
        VdbmonError: `probe.no_space`, `probe.no_fio`, `probe.failed`.
    """
    _check(folder, size)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:  # it has no name, so nothing can be left over
            os.ftruncate(file.fileno(), size)  # a file that is too short fio makes anew, under its name
            probe = _Probe(f"/proc/{os.getpid()}/fd/{file.fileno()}", size, seconds, run or run_fio)
            # Written first: what was never written is read without asking the disk.
            write_bps, written = probe.measure("write", _MIB)
            probe = _Probe(probe.target, max(written // _MIB * _MIB, _MIB), seconds, probe.run)
            return DiskFigures(
                where=str(folder),
                read_bps=probe.bps("read"),
                write_bps=write_bps,
                read_iops_4k=probe.iops("randread", 4096),
                read_iops_16k=probe.iops("randread", 16384),
                write_iops_4k=probe.iops("randwrite", 4096),
                write_iops_16k=probe.iops("randwrite", 16384),
            )
    except OSError as error:
        raise ConfigError("probe.folder", f"{folder}: {error.strerror}", "give a folder that can be written") from error


def probe_device(
    device: Path, *, size: int = SIZE_BYTES, seconds: float = RUN_SECONDS, run: RunFio | None = None
) -> DiskFigures:
    """Measure the reads of a block device; it is never written.

    Raises:
        ConfigError: `probe.device`, no block device.
        VdbmonError: `probe.no_fio`, `probe.failed`.
    """
    try:
        is_device = stat.S_ISBLK(device.stat().st_mode)
    except OSError as error:
        raise ConfigError("probe.device", f"{device}: {error.strerror}", "give a block device") from error
    if not is_device:
        raise ConfigError("probe.device", f"{device} is no block device", "for a folder use --dir")
    probe = _Probe(str(device), size, seconds, run or run_fio, read_only=True)
    return DiskFigures(
        where=str(device),
        read_bps=probe.bps("read"),
        write_bps=None,
        read_iops_4k=probe.iops("randread", 4096),
        read_iops_16k=probe.iops("randread", 16384),
        write_iops_4k=None,
        write_iops_16k=None,
    )


def run_fio(command: Sequence[str], seconds: float) -> str:
    """Run it; what it printed.

    Raises:
        VdbmonError: `probe.no_fio`, `probe.failed`.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
    except FileNotFoundError:
        raise VdbmonError("probe.no_fio", "fio is not installed", "apt-get install fio") from None
    except subprocess.TimeoutExpired:
        raise VdbmonError("probe.failed", f"fio did not end in {seconds:g} s; the disk hangs?") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise VdbmonError("probe.failed", f"fio failed ({done.returncode}): {said[-1] if said else 'no message'}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class _Probe:
    target: str
    size: int
    seconds: float
    run: RunFio
    read_only: bool = False

    def bps(self, kind: str) -> int:
        return self.measure(kind, _MIB)[0]

    def iops(self, kind: str, block: int) -> int:
        return int(self._side(kind, block)["iops"])

    def measure(self, kind: str, block: int) -> tuple[int, int]:
        """Bytes per second, and bytes in all."""
        side = self._side(kind, block)
        return int(side["bw_bytes"]), int(side["io_bytes"])

    def _side(self, kind: str, block: int) -> Mapping[str, Any]:
        """What fio says of the reads, or of the writes."""
        output = self.run(self._command(kind, block), self.seconds + _GRACE_SECONDS)
        try:
            document = json.loads(output[output.index("{") :])
            side: Mapping[str, Any] = document["jobs"][0][kind.removeprefix("rand")]
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise VdbmonError("probe.failed", f"fio printed something else than its JSON: {output[:100]!r}") from error
        if not side.get("io_bytes"):
            raise VdbmonError("probe.failed", f"fio moved no bytes in a {kind} of {block} bytes")
        return side

    def _command(self, kind: str, block: int) -> list[str]:
        options = {
            "name": kind,
            "filename": self.target,
            "rw": kind,
            "bs": block,
            "size": self.size,
            "io_size": self.size,
            "runtime": f"{self.seconds:g}s",
            "direct": 1,
            "ioengine": "libaio",
            "iodepth": _DEPTH,
            "fallocate": "none",
            "randrepeat": 0,
            "norandommap": 1,
            "output-format": "json",
            "eta": "never",
        }
        return [
            "fio",
            *(["--readonly"] if self.read_only else []),
            *(f"--{key}={value}" for key, value in options.items()),
        ]


def _check(folder: Path, size: int) -> None:
    if not folder.is_dir():
        raise ConfigError("probe.folder", f"{folder} is no folder", "give one that exists")
    if size < _SMALLEST_BYTES:
        shown = format_bytes(_SMALLEST_BYTES)
        raise ConfigError("probe.size", f"{format_bytes(size)} measures caches", f"give at least {shown}")
    filesystem = os.statvfs(folder)
    free = filesystem.f_bavail * filesystem.f_frsize
    if free < 2 * size:
        raise VdbmonError(
            "probe.no_space",
            f"{folder} has {format_bytes(free)} free, and the file takes {format_bytes(size)}",
            "give a smaller --size: half of what is free stays free",
        )


def _megabytes(rate: int | None) -> str | int | None:
    """As the file writes it: whole megabytes, or bytes below one."""
    if rate is None or rate < 10**6:
        return rate
    return f"{rate // 10**6}MB"


def _two_digits(number: int | None) -> int | None:
    if number is None:
        return None
    step = int("1" + "0" * max(len(str(number)) - 2, 0))
    return number // step * step
