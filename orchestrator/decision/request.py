"""What is asked for: a container, how large, and what its host and its hours should be like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from orchestrator.backup.inputs import NO_INPUTS, JobInputs
from orchestrator.backup.job_names import READS_BACKUPS_ALONE
from orchestrator.decision.reasons import OVERRIDABLE
from orchestrator.decision.resources import Amounts
from orchestrator.settings import SourceSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a request asks of its host besides room; None and empty ask for nothing.

    Attributes:
        labels: that the host must carry.
        pool: address pool that the host must have.
        apart: not where another job of the same source is.
        cpuset: processors of the host that it may run on, as `0-3,6`; None for all.
    """

    host: str | None = None
    zone: str | None = None
    device_class: str | None = None
    pool: str | None = None
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    apart: bool = False
    cpuset: str | None = None


NO_WISHES = Wishes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """When a job may run; seconds since the epoch.

    Attributes:
        not_before: the earliest start.
        deadline: the latest end.
        duration: how long it is expected to run, seconds.
    """

    not_before: float
    deadline: float
    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """An operator's word against reasons of the gate.

    Attributes:
        codes: of the reasons that are not to count (`orchestrator.decision.reasons.OVERRIDABLE`).
    """

    codes: tuple[str, ...]
    who: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One container that somebody wants.

    Attributes:
        name: of the container.
        request_id: the identity of this attempt; names can come again, ids can't.
        amounts: what it needs, per class.
        inputs: backups that it reads.
        window: None for now, and for as long as it takes.
        override: None for no reason.
    """

    name: str
    request_id: str
    source: SourceSettings
    job: str
    amounts: Amounts
    wishes: Wishes = NO_WISHES
    window: Window | None = None
    override: Override | None = None
    inputs: JobInputs = NO_INPUTS

    @property
    def overridden(self) -> frozenset[str]:
        """Codes of reasons that don't count, on an operator's word."""
        return frozenset(self.override.codes if self.override else ()) & OVERRIDABLE

    @property
    def reads_source(self) -> bool:
        """Whether it counts among its source's readers, and needs a host from which that is reached."""
        return self.job not in READS_BACKUPS_ALONE
