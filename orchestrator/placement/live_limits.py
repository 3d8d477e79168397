"""Change the limits of a container while it runs: cpu, memory, pids. Docker's API changes no others that stay changed.

The ledger comes first where more is wanted, and last where less is: at no moment is more promised than is there. What
an engine did that fell silent is unknown, so the launch then holds the larger of both amounts until it is asked again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from alerts.thresholds import TELEMETRY_STALE_AFTER
from collector.errors import VdbmonError
from orchestrator.decision.reasons import Code, Reason, capacity_reason
from orchestrator.decision.resources import Amounts, ResourceClass
from orchestrator.decision.snapshot import HostState, Unknown
from orchestrator.engines.engine import EngineUnreachableError, LiveLimits
from orchestrator.host.limits import Limits, Told, same_memory
from orchestrator.ledger import Event, LaunchRecord, LaunchState
from orchestrator.placement.jobs import SMALLEST
from orchestrator.placement.scheduler import Scheduler

SMALLEST_PIDS = 4
"""The runner, its init, and what they start."""
SEEN_SECONDS = 20.0
"""How long a host's agent may take until Prometheus has its new figures."""
_POLL_SECONDS = 1.0

NOT_LIVE: Mapping[str, str] = {
    "--disk": "a sized volume doesn't shrink or grow by the engine's API",
    "--read-bps": "engines before API 1.55 answer 200 and drop it",
    "--write-bps": "engines before API 1.55 answer 200 and drop it",
}
"""What can't be changed while a container runs, and why."""


class LimitsRefusedError(VdbmonError):
    """There is no room for it, or it can't be changed while the container runs; nothing was done."""

    exit_code = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsChange:
    """What was changed.

    Attributes:
        found: what the container is held to now, and who told.
    """

    record: LaunchRecord
    before: LiveLimits
    after: LiveLimits
    found: Limits


def set_limits(scheduler: Scheduler, name: str, wanted: LiveLimits) -> LimitsChange:
    """Change what is given in `wanted`, check it in the ledger, apply it, read it back, record it.

    Raises:
        LimitsRefusedError: `capacity.*`, `limits.too_small`, `launch.not_running`, `telemetry.*`, `engine.*`.
        ConcurrentUpdateError: the host changed while this was decided.
        EngineRefusedError: the engine said no; nothing is changed.
        VdbmonError: `launch.not_found`; `limits.not_applied`, the kernel has others and the old ones are back;
            `limits.unknown`, the larger of both is held until it is known.
    """
    _refuse_small(wanted)
    snapshot = scheduler.snapshot()
    record = _running(scheduler, name)
    host = snapshot.host(record.host)
    _refuse_without_room(host, record, scheduler.ledger.held(record.request_id), wanted)
    return _Change(scheduler, record, host, wanted).run()


def differences(wanted: LiveLimits, found: Limits) -> Iterator[str]:
    """What isn't as it was asked for, a sentence each."""
    cpu, memory = ResourceClass.CPU, ResourceClass.MEMORY
    if wanted.cpu is not None and wanted.cpu != found.cpu:
        yield f"CPU is {_shown(cpu, found.cpu)}, not {_shown(cpu, wanted.cpu)}"
    if wanted.memory is not None and not same_memory(wanted.memory, found.memory):
        yield f"memory is {_shown(memory, found.memory)}, not {_shown(memory, wanted.memory)}"
    if wanted.pids is not None and wanted.pids != found.pids:
        yield f"pids is {found.pids}, not {wanted.pids}"


class _Change:
    """One change of one container."""

    def __init__(self, scheduler: Scheduler, record: LaunchRecord, host: HostState, wanted: LiveLimits) -> None:
        self._scheduler = scheduler
        self._record = record
        self._host = host
        self._wanted = wanted
        self._held = scheduler.ledger.held(record.request_id)
        self._before = LiveLimits(
            cpu=None if wanted.cpu is None else self._held.get(ResourceClass.CPU),
            memory=None if wanted.memory is None else self._held.get(ResourceClass.MEMORY),
            pids=None if wanted.pids is None else record.spec.get("pids"),
        )

    def run(self) -> LimitsChange:
        old, new = _amounts(self._before), _amounts(self._wanted)
        larger = {key: max(amount, old.get(key, 0)) for key, amount in new.items()}
        if larger != old:
            self._write("limits.wanted", larger, self._wanted, expected=self._host.generation)
        engine = self._scheduler.engines[self._record.host]
        try:
            engine.update(self._record.container_id or "", self._wanted)
            found = self._read_back()
        except EngineUnreachableError as error:
            raise self._unknown(str(error)) from error
        except VdbmonError as error:
            if error.code != "limits.unknown":
                self._write("limits.refused", old, self._before, detail=str(error))
            raise
        self._write("limits", new, self._wanted, detail=found.document())
        return LimitsChange(record=self._record, before=self._before, after=self._wanted, found=found)

    def _read_back(self) -> Limits:
        read = self._scheduler.parts(self._record.host).read_limits
        until = self._scheduler.clock() + SEEN_SECONDS
        while True:
            found = read(self._record.container_id or "")
            if found is None:
                raise VdbmonError("container.gone", f"{self._record.name} ended while its limits were changed")
            wrong = "; ".join(differences(self._wanted, found))
            if not wrong:
                return found
            if found.told is not Told.AGENT:
                self._scheduler.engines[self._record.host].update(self._record.container_id or "", self._before)
                raise VdbmonError(
                    "limits.not_applied", f"the kernel has other limits: {wrong}", "the old ones are back"
                )
            if self._scheduler.clock() > until:
                raise self._unknown(f"its host's agent doesn't show them after {SEEN_SECONDS:g} s: {wrong}")
            self._scheduler.sleep(_POLL_SECONDS)

    def _unknown(self, why: str) -> VdbmonError:
        name = self._record.name
        return VdbmonError(
            "limits.unknown",
            f"limits of {name}: {why}; the larger of old and new stays allocated",
            "give the command again when that is mended",
        )

    def _write(
        self, kind: str, amounts: Amounts, limits: LiveLimits, *, expected: int | None = None, detail: Any = None
    ) -> None:
        record = self._record
        self._scheduler.ledger.resize(
            record,
            amounts,
            inventory=self._host.inventory,
            expected=expected,
            spec={key: value for key, value in asdict(limits).items() if value is not None},
            about=Event(
                at=self._scheduler.clock(),
                kind=kind,
                request_id=record.request_id,
                name=record.name,
                host=record.host,
                who=self._scheduler.operator,
                detail=detail or asdict(limits),
            ),
        )


def _refuse_small(wanted: LiveLimits) -> None:
    for key, amount in _amounts(wanted).items():
        if amount < SMALLEST[key]:
            text = f"{key.label} of {key.amount_text(amount)} is too small"
            raise LimitsRefusedError("limits.too_small", text, f"give at least {key.amount_text(SMALLEST[key])}")
    if wanted.pids is not None and wanted.pids < SMALLEST_PIDS:
        raise LimitsRefusedError(
            "limits.too_small", f"{wanted.pids} pids are too few", f"give at least {SMALLEST_PIDS}"
        )


def _running(scheduler: Scheduler, name: str) -> LaunchRecord:
    """The live launch of that name; the snapshot has settled those that have ended."""
    found = scheduler.ledger.launches_named(name)
    if not found:
        raise VdbmonError("launch.not_found", f"nothing called {name} was ever placed", "see `vdbmon ps`")
    record = found[-1]
    if record.state is not LaunchState.RUNNING or record.container_id is None:
        raise LimitsRefusedError("launch.not_running", f"{name} is {record.state}; only a running one can be changed")
    return record


def _refuse_without_room(host: HostState, record: LaunchRecord, held: Amounts, wanted: LiveLimits) -> None:
    if isinstance(host.engine, Unknown):
        raise LimitsRefusedError(Code.ENGINE_UNREACHABLE, host.engine.sentence)
    if host.known_fingerprint not in {None, host.engine.fingerprint}:
        text = f"engine {host.engine.fingerprint} is not {host.known_fingerprint}, which runs {record.name}"
        raise LimitsRefusedError(Code.ENGINE_UNKNOWN, text)
    more = {key: amount - held.get(key, 0) for key, amount in _amounts(wanted).items()}
    raised = {key: amount for key, amount in more.items() if amount > 0}
    telemetry = host.telemetry
    if raised and (telemetry is None or not telemetry.up or telemetry.age is None):
        raise LimitsRefusedError(Code.TELEMETRY_MISSING, f"Prometheus has no metrics of {host.name}'s agent")
    if raised and telemetry is not None and (telemetry.age or 0) > TELEMETRY_STALE_AFTER:
        raise LimitsRefusedError(Code.TELEMETRY_STALE, f"metrics of {host.name} are {telemetry.age:.0f} s old")
    short = [_shortage(key, amount, host) for key, amount in raised.items() if amount > host.free.get(key, 0)]
    if short:
        said = "; ".join(reason.sentence for reason in short)
        raise LimitsRefusedError(short[0].code, f"{host.name}: {said} (beyond what {record.name} has)")


def _shortage(key: ResourceClass, amount: int, host: HostState) -> Reason:
    return capacity_reason(key, needed=amount, free=host.free.get(key, 0))


def _amounts(limits: LiveLimits) -> dict[ResourceClass, int]:
    pairs = {ResourceClass.CPU: limits.cpu, ResourceClass.MEMORY: limits.memory}
    return {key: amount for key, amount in pairs.items() if amount is not None}


def _shown(key: ResourceClass, amount: int | None) -> str:
    return "unlimited" if amount is None else key.amount_text(amount)
