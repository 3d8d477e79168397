"""The catalogue anew from what is in the volumes of this host: each backup carries its own record.

What was decided about a backup (kept, verified) is the ledger's alone; the rest is all there. A volume that can't be
seen proves nothing: an entry without a volume is only named, and forgotten on an operator's word.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from collector import labels
from collector.errors import VdbmonError
from collector.volume_labels import read_volume_labels
from orchestrator.backup.entries import VOLUME_KINDS, Backup, entry_of
from orchestrator.backup.feeding import take
from orchestrator.backup.results import read_result
from orchestrator.host.volumes import LoopVolumes
from orchestrator.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a scan found.

    Attributes:
        found: whole records, oldest first.
        odd: what is in a volume and can't be taken, a sentence each.
        lost: ids in the catalogue whose volume isn't on this host any more.
    """

    found: tuple[Backup, ...]
    odd: tuple[str, ...]
    lost: tuple[str, ...]


def scan_volumes(folder: Path, volumes: LoopVolumes, *, host: str) -> tuple[tuple[Backup, ...], tuple[str, ...]]:
    """The records in the sized volumes of a folder, and what can't be taken."""
    given = {Path(path).name: found for path, found in read_volume_labels(folder)}
    found: list[Backup] = []
    odd: list[str] = []
    for name in volumes.list():
        try:
            mounted = volumes.get(name)
        except VdbmonError as error:
            odd.append(f"volume {name}: {error.message}")
            continue
        if mounted is not None:
            for item in _records(mounted.mountpoint, name, given.get(name, {}), host):
                (found if isinstance(item, Backup) else odd).append(item)  # type: ignore[arg-type]
    return tuple(sorted(found, key=lambda item: (item.finished_at, item.id))), tuple(odd)


def scan(ledger: Ledger, folder: Path, volumes: LoopVolumes, *, host: str, forget: bool, at: float) -> Scan:
    """Bring the catalogue up to what is on this host; with `forget` entries whose volume is gone are history."""
    found, odd = scan_volumes(folder, volumes, host=host)
    reads = {record.volume: record.spec.get("reads", ()) for record in ledger.launches()}
    for entry in found:
        # Of a verification whose launch nobody knows, what it was given can't be known either: its own word counts.
        take(ledger.backups, entry, reads=reads.get(entry.volume, (entry.parent,) if entry.parent else ()))
    there = set(volumes.list())
    lost = tuple(
        backup.id
        for backup in ledger.backups.all()
        if backup.host == host and backup.present and backup.kind in VOLUME_KINDS and backup.volume not in there
    )
    for backup_id in lost if forget else ():
        ledger.backups.removed(backup_id, at=at, why="a scan didn't find its volume")
    return Scan(found=found, odd=odd, lost=lost)


def _records(mountpoint: Path, volume: str, given: Mapping[str, str], host: str) -> Iterator[Backup | str]:
    """The records in a volume. Its names are a container's: they are told, and nothing is made of them."""
    for name in sorted(_folders(mountpoint)):
        if name.startswith("."):
            yield f"volume {volume}: {name!r} is no whole backup"
            continue
        record = read_result(mountpoint, name)
        if record is None:
            continue
        if record.backup_id != name or given.get(labels.SOURCE, record.source) != record.source:
            yield f"volume {volume}: the record in {name!r} is of {record.backup_id} of {record.source}"
            continue
        yield entry_of(record, host=host, volume=volume, request_id=given.get(labels.REQUEST_ID))


def _folders(mountpoint: Path) -> list[str]:
    with os.scandir(mountpoint) as entries:
        return [
            entry.name
            for entry in entries
            if entry.is_dir(follow_symlinks=False)
            and (not entry.name.startswith(".") or entry.name.endswith(".partial"))
        ]
