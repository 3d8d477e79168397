"""Which host gets a container, and every reason against every other one. Pure: no clock, no files, no sockets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from orchestrator.decision.filters import Case, capacity_filter, open_case
from orchestrator.decision.reasons import Code, Reason, Reasons
from orchestrator.decision.request import Request
from orchestrator.decision.resources import Amounts
from orchestrator.decision.scoring import Score, Strategy, score, weigh
from orchestrator.decision.snapshot import HostState, Snapshot
from orchestrator.decision.windows import best_start


class Verdict(NamedTuple):
    """One host's part of a decision.

    Attributes:
        fits: nothing speaks against the host; it was chosen, or another one is better.
        reasons: all of them; empty for the chosen host only.
        free: what it has left before the placement, per class.
        score: None where the container doesn't fit.
    """

    host: str
    fits: bool
    reasons: Reasons
    free: Amounts
    score: Score | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer to a request.

    Attributes:
        host: the chosen one; None for a refusal.
        why: one sentence.
        verdicts: one per host, ordered by name.
        start_at: when it should start there, seconds since the epoch; None for now.
    """

    request_id: str
    name: str
    taken_at: float
    host: str | None
    why: str
    needed: Amounts
    verdicts: tuple[Verdict, ...]
    strategy: Strategy = Strategy.SPREAD
    start_at: float | None = None

    @property
    def accepted(self) -> bool:
        """Whether there is a host."""
        return self.host is not None

    def codes(self, host: str) -> frozenset[str]:
        """The codes of the reasons against a host."""
        return frozenset(reason.code for verdict in self.verdicts if verdict.host == host for reason in verdict.reasons)


def decide(snapshot: Snapshot, request: Request, strategy: Strategy = Strategy.SPREAD) -> Decision:
    """Choose the best host by the strategy's score (`orchestrator.decision.scoring`); ties go to the first name.

    The order of the snapshot's hosts, of amounts and of inventories doesn't matter.
    """
    hosts = sorted(snapshot.hosts, key=attrgetter("name"))
    case = open_case(snapshot, request)
    grounds = [reasons_against(host, case) for host in hosts]
    fitting = [host for host, reasons in zip(hosts, grounds, strict=True) if not reasons]
    needed = request.amounts
    weights = weigh(fitting, needed)
    scores = {host.name: score(host, needed, weights, strategy) for host in fitting}
    best = choose(scores)
    return Decision(
        request_id=request.request_id,
        name=request.name,
        taken_at=snapshot.taken_at,
        host=best,
        why=_why(best, scores, len(hosts), strategy),
        needed=needed,
        verdicts=tuple(
            _verdict(host, reasons, scores, best, strategy) for host, reasons in zip(hosts, grounds, strict=True)
        ),
        strategy=strategy,
        start_at=_start(hosts, best, request, snapshot.taken_at),
    )


def choose(scores: dict[str, Score]) -> str | None:
    """The host with the best score; of equals the one that comes first by name."""
    return min(scores, key=lambda name: (-scores[name].value, name), default=None)


def reasons_against(host: HostState, case: Case) -> Reasons:
    """All reasons against a host that are not overridden, in the order of the filters; room comes last."""
    found: Reasons = ()
    for check in case.filters:
        against = check(host, case)
        if against:
            found += against
    if case.overridden:
        found = tuple(reason for reason in found if reason.code not in case.overridden)
    return found + capacity_filter(host, case)


def _start(hosts: Sequence[HostState], best: str | None, request: Request, now: float) -> float | None:
    if best is None or request.window is None:
        return None
    start = best_start(request.window, request.amounts, next(host for host in hosts if host.name == best), now)
    return None if start is None or start.at <= now else start.at


def _verdict(
    host: HostState, reasons: Reasons, scores: dict[str, Score], best: str | None, strategy: Strategy
) -> Verdict:
    own = scores.get(host.name)
    if own is not None and best is not None and host.name != best:
        reasons = (_outdone(own, scores[best], best, strategy),)
    return Verdict(host=host.name, fits=own is not None, reasons=reasons, free=host.free, score=own)


def _outdone(own: Score, others: Score, best: str, strategy: Strategy) -> Reason:
    """Why a host that fits isn't the one, in the terms that made the difference."""
    if own.value == others.value:
        return Reason(code=Code.SAME_SCORE, text=f"fits as well as {best}, whose name comes first")
    if strategy is Strategy.SPREAD and own.headroom < others.headroom:
        text = f"fits, but would keep {own.headroom:.0%} free in its tightest dimension, {best} {others.headroom:.0%}"
        return Reason(code=Code.LESS_HEADROOM, text=text)
    if strategy is Strategy.PACK and own.left >= others.left:
        return Reason(
            code=Code.MORE_HEADROOM, text=f"fits, but would keep {own.left:.0%} free, {best} {others.left:.0%}"
        )
    text = f"fits, but {own.stranded - others.stranded:.0%} more than on {best} would be left that nothing fits into"
    return Reason(code=Code.STRANDS_MORE, text=text)


def _why(best: str | None, scores: dict[str, Score], hosts: int, strategy: Strategy) -> str:
    if best is None:
        return f"none of {hosts} hosts can take it" if hosts != 1 else "the only host can't take it"
    own = scores[best]
    tightest = f"{own.headroom:.0%} free in its tightest dimension"
    shown = tightest if strategy is Strategy.SPREAD else f"{own.left:.0%} free"
    return f"{best} keeps {shown}{_rank(best, scores, strategy)}"


def _rank(best: str, scores: dict[str, Score], strategy: Strategy) -> str:
    if len(scores) == 1:
        return ""
    others: Sequence[Score] = [item for name, item in scores.items() if name != best]
    spreads = strategy is Strategy.SPREAD
    most = all(item.headroom <= scores[best].headroom if spreads else item.left >= scores[best].left for item in others)
    if most:
        return f", the {'most' if spreads else 'least'} of {len(scores)} that fit"
    return f", and strands least of {len(scores)} that fit"
