"""Thin pools of the device mapper, as dmsetup(8) tells them.

Source of the format: Documentation/admin-guide/device-mapper/thin-provisioning.rst (status).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from collector.command import CommandError, run_command
from collector.errors import VdbmonError
from collector.kernelfile import SkippedLines, complete_lines, is_number, read_file

DMSETUP_SECONDS = 10.0
CONTROL = Path("/dev/mapper/control")

_MAX_OUTPUT = 1 << 20  # bytes
_POOL_FIELDS = 6


class ThinPool(NamedTuple):
    """Used and all blocks of a pool, metadata and data each; all 0 where the pool has failed."""

    metadata: tuple[int, int]
    data: tuple[int, int]
    writable: bool


def parse_thin_pools(data: bytes, skipped: SkippedLines) -> dict[str, ThinPool]:
    """Pools by name, from what `dmsetup status --target thin-pool` prints."""
    pools: dict[str, ThinPool] = {}
    for line in complete_lines(data, skipped):
        name, colon, rest = line.decode(errors="replace").partition(": ")
        # START LENGTH thin-pool TRANSACTION USED/ALL USED/ALL HELD_ROOT MODE ...
        fields = rest.split()
        metadata, data_blocks = (_fraction(field) for field in (*fields[4:6], "", "")[:2])
        if colon and fields[2:4] in (["thin-pool", "Fail"], ["thin-pool", "Error"]):
            pools[name] = ThinPool((0, 0), (0, 0), writable=False)
        elif colon and len(fields) > _POOL_FIELDS and fields[2] == "thin-pool" and metadata and data_blocks:
            pools[name] = ThinPool(metadata, data_blocks, "rw" in fields and "needs_check" not in fields)
        elif line != b"No devices found":
            skipped.add()
    return pools


def _fraction(field: str) -> tuple[int, int] | None:
    used, _, total = field.encode().partition(b"/")
    return (int(used), int(total)) if is_number(used) and is_number(total) else None


def may_have_thin_pools(procfs: Path, sysfs: Path, control: Path = CONTROL) -> bool:
    """Whether dmsetup is to be asked: nothing is started on a host without a device of the device mapper.

    A service that gets no devices (deploy/systemd) can't ask. There only a name that says what it is, as LVM gives its
    pools, is a reason to try, and to fail where somebody sees it.
    """
    try:
        if b" dm-" not in read_file(procfs / "partitions"):
            return False
    except OSError:
        return False
    return os.access(control, os.R_OK | os.W_OK) or any(map(_is_named_pool, (sysfs / "block").glob("dm-*/dm/name")))


def _is_named_pool(name: Path) -> bool:
    try:
        return read_file(name).endswith(b"pool\n")
    except OSError:
        return False  # it was removed


def thin_pool_status(command: tuple[str, ...] = ("dmsetup", "status", "--target", "thin-pool")) -> bytes:
    """What dmsetup prints. It asks the kernel, where a pool in trouble can hold it for ever: hence the process.

    Raises:
        VdbmonError: `tables.dmsetup`, it isn't there, failed or took too long.
    """
    try:
        result = run_command(command, timeout=DMSETUP_SECONDS, max_output=_MAX_OUTPUT)
    except CommandError as error:
        reason = str(error)
    else:
        if result.status == 0:
            return result.output
        reason = f"exit status {result.status}: {result.message or 'no message'}"
    raise VdbmonError("tables.dmsetup", f"thin pools can't be read: {reason}", "install dmsetup")
