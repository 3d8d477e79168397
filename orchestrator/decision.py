"""Which host gets a container, and every reason against every other one. Pure: no clock, no files, no sockets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from alerts.thresholds import TELEMETRY_STALE_AFTER
from orchestrator.gate import gate_reasons
from orchestrator.reasons import Code, Reason, capacity_reason
from orchestrator.resources import Amounts, ResourceClass
from orchestrator.settings import Reach
from orchestrator.snapshot import HostState, Request, Snapshot, Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One host's part of a decision.

    Attributes:
        fits: nothing speaks against the host; it was chosen, or another one has more room.
        reasons: all of them; empty for the chosen host only.
        free: what it has left before the placement, per class.
        headroom: share of what it can offer that stays free after the placement in its tightest dimension, 0..1;
            None where the container doesn't fit.
    """

    host: str
    fits: bool
    reasons: tuple[Reason, ...]
    free: Amounts
    headroom: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer to a request.

    Attributes:
        host: the chosen one; None for a refusal.
        why: one sentence.
        verdicts: one per host, ordered by name.
    """

    request_id: str
    name: str
    taken_at: float
    host: str | None
    why: str
    needed: Amounts
    verdicts: tuple[Verdict, ...]

    @property
    def accepted(self) -> bool:
        """Whether there is a host."""
        return self.host is not None

    def codes(self, host: str) -> frozenset[str]:
        """The codes of the reasons against a host."""
        return frozenset(reason.code for verdict in self.verdicts if verdict.host == host for reason in verdict.reasons)


def decide(snapshot: Snapshot, request: Request) -> Decision:
    """Choose the host that keeps most headroom in its tightest dimension; ties go to the first name.

    The order of the snapshot's hosts doesn't matter.
    """
    hosts = sorted(snapshot.hosts, key=lambda host: host.name)
    known = frozenset(host.name for host in hosts)
    verdicts = [_judge(host, snapshot, request, known) for host in hosts]
    fitting = [verdict for verdict in verdicts if verdict.fits]
    best = max(fitting, key=_headroom, default=None)
    if best is not None:
        verdicts = [
            _outdone(verdict, best) if verdict.fits and verdict is not best else verdict for verdict in verdicts
        ]
    return Decision(
        request_id=request.request_id,
        name=request.name,
        taken_at=snapshot.taken_at,
        host=best.host if best else None,
        why=_why(best, verdicts),
        needed=request.amounts,
        verdicts=tuple(verdicts),
    )


def choose(verdicts: Sequence[Verdict]) -> Verdict | None:
    """The fitting host with most headroom; of equals the one that comes first by name."""
    fitting = (verdict for verdict in verdicts if verdict.fits)
    return min(fitting, key=lambda verdict: (-_headroom(verdict), verdict.host), default=None)


def free_amounts(host: HostState) -> dict[ResourceClass, int]:
    """What is left of every class that the host has; by allocation alone where use is not known."""
    used = host.telemetry.used if host.telemetry else {}
    return {key: row.free(host.allocated.get(key, 0), used.get(key)) for key, row in host.inventory.items()}


def _judge(host: HostState, snapshot: Snapshot, request: Request, known: frozenset[str]) -> Verdict:
    free = free_amounts(host)
    reasons = (
        *_name_reasons(host, snapshot, request),
        *_source_reasons(host, request),
        *gate_reasons(snapshot.gate, host.name, known),
        *_engine_reasons(host),
        *_telemetry_reasons(host, snapshot, request),
        *_capacity_reasons(free, request.amounts),
    )
    return Verdict(
        host=host.name,
        fits=not reasons,
        reasons=reasons,
        free=free,
        headroom=None if reasons else _headroom_after(host, free, request.amounts),
    )


def _name_reasons(host: HostState, snapshot: Snapshot, request: Request) -> Iterator[Reason]:
    holder = snapshot.names.get(request.name)
    if holder is not None:
        yield Reason(code=Code.NAME_TAKEN, sentence=f"{request.name} is placed already, on {holder}")
    elif isinstance(host.engine, Unknown):
        return
    elif request.name in host.engine.containers:
        yield Reason(code=Code.NAME_TAKEN, sentence=f"{host.name} has a container {request.name} already")


def _source_reasons(host: HostState, request: Request) -> Iterator[Reason]:
    source = request.source
    if source.reach is not Reach.LOCAL:
        yield Reason(
            code=Code.SOURCE_REACH_UNSUPPORTED,
            sentence=f"source {source.name} has reach {source.reach}; only local can be placed so far",
        )
    elif source.host != host.name:
        yield Reason(
            code=Code.SOURCE_NOT_LOCAL,
            sentence=f"the data directory of source {source.name} is on {source.host}, not here",
        )
    if not host.makes_volumes:
        yield Reason(
            code=Code.VOLUME_HOST_UNSUPPORTED,
            sentence="sized volumes can be made only on the host that runs this command so far",
        )


def _engine_reasons(host: HostState) -> Iterator[Reason]:
    if isinstance(host.engine, Unknown):
        yield Reason(code=Code.ENGINE_UNREACHABLE, sentence=host.engine.sentence)
    elif host.known_fingerprint not in {None, host.engine.fingerprint}:
        yield Reason(
            code=Code.ENGINE_UNKNOWN,
            sentence=f"engine {host.engine.fingerprint} is not {host.known_fingerprint}, which runs this host's jobs",
        )


def _telemetry_reasons(host: HostState, snapshot: Snapshot, request: Request) -> Iterator[Reason]:
    telemetry = host.telemetry
    if isinstance(snapshot.gate, Unknown):
        return  # it follows from that, and the gate has said so
    if telemetry is None or not telemetry.up or telemetry.age is None:
        yield Reason(code=Code.TELEMETRY_MISSING, sentence="Prometheus has no metrics of this host's agent")
        return
    if telemetry.age > TELEMETRY_STALE_AFTER:
        yield Reason(
            code=Code.TELEMETRY_STALE,
            sentence=f"its metrics are {telemetry.age:.0f} s old, {TELEMETRY_STALE_AFTER} s is the limit",
        )
    for dimension in request.amounts:
        if dimension.measured and dimension not in telemetry.used:
            yield Reason(
                code=Code.TELEMETRY_MISSING,
                sentence=f"{dimension.label}: its use is not known",
                dimension=dimension,
            )


def _capacity_reasons(free: Amounts, needed: Amounts) -> Iterator[Reason]:
    for dimension in ResourceClass:
        amount, left = needed.get(dimension, 0), free.get(dimension, 0)
        if amount > max(left, 0):
            yield capacity_reason(dimension, needed=amount, free=left)


def _headroom_after(host: HostState, free: Amounts, needed: Amounts) -> float:
    return min(
        ((free[key] - needed.get(key, 0)) / row.sellable for key, row in host.inventory.items() if row.sellable > 0),
        default=0.0,
    )


def _headroom(verdict: Verdict) -> float:
    return verdict.headroom if verdict.headroom is not None else float("-inf")


def _outdone(verdict: Verdict, best: Verdict) -> Verdict:
    own, others = f"{_headroom(verdict):.0%}", f"{_headroom(best):.0%}"
    reason = Reason(
        code=Code.LESS_HEADROOM,
        sentence=f"fits, but would keep {own} free in its tightest dimension, {best.host} {others}",
    )
    return Verdict(host=verdict.host, fits=True, reasons=(reason,), free=verdict.free, headroom=verdict.headroom)


def _why(best: Verdict | None, verdicts: Sequence[Verdict]) -> str:
    if best is None:
        return f"none of {len(verdicts)} hosts can take it" if len(verdicts) != 1 else "the only host can't take it"
    fitting = sum(verdict.fits for verdict in verdicts)
    margin = f"{best.host} keeps {_headroom(best):.0%} free in its tightest dimension"
    return f"{margin}, the most of {fitting} that fit" if fitting > 1 else margin
