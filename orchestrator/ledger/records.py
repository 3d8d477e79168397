"""Rows of the ledger as frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from orchestrator.resources import Amounts


class LaunchState(StrEnum):
    """How far a launch got.

    `intent` is written before anything is done; a launch that stays there is half done, and `vdbmon rm` clears it.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of the append-only record."""

    at: float
    request_id: str
    kind: str
    detail: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerView:
    """The ledger at one moment, read in one transaction.

    Attributes:
        generations: by host; a host that is absent has generation 0.
        fingerprints: the engine that a host's live launches run on; absent for hosts that have none.
        allocated: by host.
        names: hosts by the names of live launches.
    """

    generations: Mapping[str, int]
    fingerprints: Mapping[str, str]
    allocated: Mapping[str, Amounts]
    names: Mapping[str, str]
