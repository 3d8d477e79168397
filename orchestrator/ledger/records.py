"""Rows of the ledger as frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from orchestrator.backup.job_names import READS_BACKUPS_ALONE
from orchestrator.decision.addresses import Holding
from orchestrator.decision.resources import Amounts
from orchestrator.decision.snapshot import Cordon, PlacedJob


class LaunchState(StrEnum):
    """How far a launch got.

    `intent` is written before anything is done; a launch that stays there is half done, and `vdbmon reconcile` finishes
    or undoes it.
    `removed` frees the name; the volume may stay, and then its disk space stays allocated.
    """

    INTENT = "intent"
    CREATED = "created"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    REMOVED = "removed"

    @property
    def ended(self) -> bool:
        """Whether nothing of it runs any more."""
        return self in {LaunchState.DONE, LaunchState.FAILED, LaunchState.REMOVED}


READING = tuple(state for state in LaunchState if not state.ended)
"""A launch in one of these reads its source, or is about to, unless its job is one of NOT_READING."""

NOT_READING = tuple(sorted(READS_BACKUPS_ALONE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Generations:
    """What a decision was made on. An allocation fails if one of them has moved."""

    host: int
    source: int
    pools: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRecord:
    """One launch.

    Attributes:
        spec: what was to be launched, in JSON terms, without secrets.
        spec_hash: SHA-256 of the spec.
        container_id: None until the container is created.
        volume: name of its volume; None where there is none (any more).
        outcome: how the job ended, in JSON terms: `exit_code`, `message`, `record` (the runner's own).
        created_at: seconds since the epoch.
        updated_at: of the last change of state.
        window_start: when it is planned to read its source, seconds since the epoch; None for at once.
        window_end: when it is planned to have ended.
        step: that was begun last, while somebody works on the launch or died over it; None when nobody does.
        turn: moves whenever somebody else takes the launch over; what the one before him writes then fails.
    """

    request_id: str
    name: str
    host: str
    source: str
    job: str
    state: LaunchState
    spec: Mapping[str, Any]
    spec_hash: str
    container_id: str | None = None
    volume: str | None = None
    outcome: Mapping[str, Any] | None = None
    created_at: float
    updated_at: float
    window_start: float | None = None
    window_end: float | None = None
    step: str | None = None
    turn: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One entry of the append-only record; docs/ledger.md lists the kinds.

    Attributes:
        request_id: None for what is about no request.
        name: of the launch that was wanted.
        host: that it is about; None for the whole fleet, or none.
        who: the operator, where one has decided.
    """

    at: float
    kind: str
    request_id: str | None = None
    name: str | None = None
    host: str | None = None
    who: str | None = None
    detail: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Something on a host that belongs to no live launch, as it was seen time and again.

    Attributes:
        identity: what it is called there; unique for the host and kind.
        first_seen: seconds since the epoch.
        last_seen: likewise.
        times: how often, without a time between at which it wasn't there.
    """

    host: str
    kind: str
    identity: str
    first_seen: float
    last_seen: float
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerView:
    """The ledger at one moment, read in one transaction.

    Attributes:
        generations: by host; a host that is absent has generation 0.
        fingerprints: the engine that a host's live launches run on; absent for hosts that have none.
        allocated: by host.
        names: hosts by the names of live launches.
        jobs: launches that run or are about to, by host.
        readers: how many of those read a source, by source.
        source_generations: by source; absent is 0.
        pool_generations: by address pool; absent is 0.
        holdings: addresses that were ever given away, by address pool.
        cordons: those that have run out too.
    """

    generations: Mapping[str, int]
    fingerprints: Mapping[str, str]
    allocated: Mapping[str, Amounts]
    names: Mapping[str, str]
    jobs: Mapping[str, tuple[PlacedJob, ...]]
    readers: Mapping[str, int]
    source_generations: Mapping[str, int]
    pool_generations: Mapping[str, int]
    holdings: Mapping[str, tuple[Holding, ...]]
    cordons: tuple[Cordon, ...]


def columns_of(row: LaunchRecord | Event | Sighting) -> dict[str, Any]:
    """The columns of a row; unlike `dataclasses.asdict` it doesn't copy a decision of 100 hosts leaf by leaf."""
    return {item.name: getattr(row, item.name) for item in fields(row)}
