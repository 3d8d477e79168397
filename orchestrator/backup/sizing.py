"""How large the next run of a job is to be, from what earlier runs of it really used. Pure.

A run that was held back by its own limit has used exactly that, so the margin lets the limit grow from run to run until
something else holds it back.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

from orchestrator.backup.entries import Backup
from orchestrator.backup.inputs import JobInputs
from orchestrator.backup.job_names import JobName
from orchestrator.backup.runner.record import Kind, State
from orchestrator.decision.resources import ResourceClass
from orchestrator.decision.sizes import CPUS

RUNS = 5
"""So many last runs count."""

MARGIN = 1.25

_SMALLEST_CPUS = 0.1
_MEBIBYTE = 1 << 20
_MEGABYTE = 10**6
_MEMORY_STEP = 64 * _MEBIBYTE
_SMALLEST_MEMORY = 128 * _MEBIBYTE
_DISK_STEP = 64 * _MEBIBYTE
_FILESYSTEM = 1.06
"""What ext4 takes for itself, with its journal."""

_SERVER_BYTES = 512 * _MEBIBYTE
"""What a restored server writes beside its data: redo logs, temporary tables."""

_RESTORES = frozenset({JobName.RESTORE, JobName.VERIFY, JobName.STANDBY})
_RATES = {
    ResourceClass.READ_BPS: "read_bps",
    ResourceClass.WRITE_BPS: "write_bps",
    ResourceClass.NETWORK_IN: "network_in_bps",
    ResourceClass.NETWORK_OUT: "network_out_bps",
}


def usual_sizes(
    job: str, inputs: JobInputs, backups: Sequence[Backup], *, counted: Collection[ResourceClass]
) -> dict[str, str | float]:
    """Sizes by `orchestrator.decision.sizes.KEYS`; what no earlier run tells is left out, and has its default then.

    Args:
        job: that is to run.
        inputs: what it reads.
        backups: all entries of its source.
        counted: classes that some host counts; nothing else is asked for.
    """
    kind = _kind(job, inputs)
    runs = [item for item in backups if item.kind is kind and item.made is not State.FAILED]
    last = sorted(runs, key=lambda item: item.finished_at)[-RUNS:]
    peaks = [item.record["peaks"] for item in last if item.record.get("peaks")]
    sizes: dict[str, str | float] = {}
    if cpu := _highest(peaks, "cpu"):
        sizes[CPUS] = max(math.ceil(cpu * MARGIN * 10) / 10, _SMALLEST_CPUS)
    if memory := _highest(peaks, "memory"):
        sizes[ResourceClass.MEMORY] = max(_up(memory * MARGIN, _MEMORY_STEP), _SMALLEST_MEMORY)
    for key, name in _RATES.items():
        rate = _highest(peaks, name)
        if rate and key in counted:
            sizes[key] = _up(rate * MARGIN, _MEGABYTE)
    disk = _disk(job, inputs, last, backups)
    if disk:
        sizes[ResourceClass.DISK] = _up(disk * MARGIN * _FILESYSTEM, _DISK_STEP)
    return sizes


def _kind(job: str, inputs: JobInputs) -> Kind:
    if job == JobName.BACKUP:
        return Kind.FULL if inputs.parent is None else Kind.INCREMENTAL
    return Kind(job)


def _disk(job: str, inputs: JobInputs, last: Iterable[Backup], backups: Iterable[Backup]) -> int:
    """Bytes that the volume must take, without a margin; 0 where nothing is known."""
    if job in _RESTORES:
        read = {item.id for item in inputs.backups}
        raw = sum(item.bytes_raw for item in backups if item.id in read)
        return raw + _SERVER_BYTES if raw else 0
    return max((item.bytes_stored for item in last), default=0)


def _highest(peaks: Iterable[Mapping[str, float | None]], name: str) -> float:
    return max((value for item in peaks if (value := item.get(name)) is not None), default=0)


def _up(value: float, step: int) -> int:
    return math.ceil(value / step) * step
