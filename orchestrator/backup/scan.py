"""The catalogue anew from what is in the volumes: each backup carries its own record, and what was decided about it.

A volume that can't be seen proves nothing: an entry without a volume is only named, and forgotten on an operator's
word. Of other hosts the engine's own volumes are seen; sized volumes are seen on their own host alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from collector import labels
from collector.errors import VdbmonError
from orchestrator.backup.chains import age_order, by_id
from orchestrator.backup.decisions import read_decisions
from orchestrator.backup.entries import VOLUME_KINDS, Backup, entry_of
from orchestrator.backup.feeding import take
from orchestrator.backup.noting import note_decisions
from orchestrator.backup.volume_contents import Contents
from orchestrator.engines.engine import EngineUnreachableError
from orchestrator.launch.protocols import Volumes
from orchestrator.ledger import Ledger
from orchestrator.survey.deadline import ask_all

SCAN_SECONDS = 300.0
"""Of one host; each volume of another host costs a container that is made and removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundBackup:
    """A whole record in a volume, and the text with what was decided about the backup."""

    entry: Backup
    decisions: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostScan:
    """What one host has.

    Attributes:
        odd: what is in a volume and can't be taken, a sentence each.
        volumes: all that can be seen from here.
        sized: whether those are the sized ones of this host, and not an engine's own.
    """

    host: str
    found: tuple[FoundBackup, ...]
    odd: tuple[str, ...]
    volumes: frozenset[str]
    sized: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A backup in the catalogue whose volume isn't seen on its host.

    Attributes:
        certain: it isn't there; else it may be a sized volume, which only commands on that host see.
        forgotten: it is history from now on.
    """

    backup: Backup
    certain: bool
    forgotten: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a scan found and did.

    Attributes:
        found: whole records, oldest first.
        recalled: ids of backups of which more was decided than the ledger knew.
        odd: sentences by host.
        silent: hosts that could not be looked at, and why.
    """

    found: tuple[Backup, ...]
    recalled: tuple[str, ...]
    odd: tuple[tuple[str, str], ...]
    lost: tuple[Lost, ...]
    silent: Mapping[str, str]

    @property
    def complete(self) -> bool:
        """Whether every host was seen, and nothing is odd or lost."""
        return not (self.odd or self.silent or any(not item.forgotten for item in self.lost))


def scan(
    ledger: Ledger,
    volumes: Mapping[str, Volumes],
    *,
    forget: frozenset[str] = frozenset(),
    at: float,
) -> Scan:
    """Bring the catalogue up to what is on these hosts; of those in `forget` entries without a volume are history."""
    calls = {host: partial(scan_host, host, own) for host, own in volumes.items()}
    answers = ask_all(calls, seconds=SCAN_SECONDS)
    seen = [answer for answer in answers.values() if isinstance(answer, HostScan)]
    found = sorted((item for one in seen for item in one.found), key=lambda item: age_order(item.entry))
    reads = {record.volume: record.spec.get("reads", ()) for record in ledger.launches()}
    for item in found:
        # Of a verification whose launch nobody knows, what it was given can't be known either: its own word counts.
        entry = item.entry
        take(ledger.backups, entry, reads=reads.get(entry.volume, (entry.parent,) if entry.parent else ()))
    recalled = tuple(item.entry.id for item in found if _recall(ledger, item, at=at))
    hosts = {one.host for one in seen}
    known = tuple(backup for backup in ledger.backups.all() if backup.host in hosts)
    unwritten = note_decisions(ledger.backups, known, volumes.__getitem__)
    odd = [(one.host, sentence) for one in seen for sentence in one.odd]
    return Scan(
        found=tuple(item.entry for item in found),
        recalled=recalled,
        odd=(*odd, *((by_id(known)[name].host, error.message) for name, error in unwritten.items())),
        lost=tuple(item for one in seen for item in _lost(ledger, known, one, forget=one.host in forget, at=at)),
        silent={host: _why_silent(answers.get(host)) for host in volumes if host not in hosts},
    )


def scan_host(host: str, volumes: Volumes) -> HostScan:
    """What is in the volumes of one host.

    Raises:
        VdbmonError: the host doesn't answer.
    """
    found: list[FoundBackup] = []
    odd: list[str] = []
    names = frozenset(volumes.list())
    for volume in volumes.found():
        if volume.name not in names:
            continue  # pieces that are left of one
        try:
            contents = volumes.contents(volume.name)
        except EngineUnreachableError:
            raise
        except VdbmonError as error:
            odd.append(f"volume {volume.name}: {error.message}")
            continue
        for item in _backups(contents or Contents(), volume.name, volume.labels, host):
            (found if isinstance(item, FoundBackup) else odd).append(item)  # type: ignore[arg-type]
    return HostScan(host=host, found=tuple(found), odd=tuple(odd), volumes=names, sized=volumes.sized)


def _backups(contents: Contents, volume: str, given: Mapping[str, str], host: str) -> Iterator[FoundBackup | str]:
    """The backups in a volume. Its names are a container's: they are told, and nothing is made of them."""
    for name in contents.partial:
        yield f"volume {volume}: {name!r} is no whole backup"
    for name, record in contents.records:
        if record.backup_id != name or given.get(labels.SOURCE, record.source) != record.source:
            yield f"volume {volume}: the record in {name!r} is of {record.backup_id} of {record.source}"
            continue
        entry = entry_of(record, host=host, volume=volume, request_id=given.get(labels.REQUEST_ID))
        yield FoundBackup(entry=entry, decisions=contents.decisions)


def _recall(ledger: Ledger, item: FoundBackup, *, at: float) -> bool:
    decisions = read_decisions(item.decisions) if item.decisions else None
    return decisions is not None and decisions.backup_id == item.entry.id and ledger.backups.recall(decisions, at=at)


def _lost(ledger: Ledger, known: Iterable[Backup], seen: HostScan, *, forget: bool, at: float) -> Iterator[Lost]:
    for backup in known:
        if backup.host != seen.host or not backup.present or backup.kind not in VOLUME_KINDS:
            continue
        if backup.volume not in seen.volumes:
            if forget:
                ledger.backups.removed(backup.id, at=at, why="a scan didn't find its volume")
            yield Lost(backup=backup, certain=seen.sized, forgotten=forget)


def _why_silent(answer: HostScan | VdbmonError | None) -> str:
    return answer.message if isinstance(answer, VdbmonError) else f"not done within {SCAN_SECONDS:g} s"
