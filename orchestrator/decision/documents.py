"""Decisions and plans as JSON documents, as `--json` prints them and the ledger keeps them.

docs/decision.schema.json describes a decision; a plan has one for each container that it refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.decision.decide import Decision, Verdict
from orchestrator.decision.planning import Plan
from orchestrator.decision.reasons import Reason
from orchestrator.decision.resources import Amounts, ResourceClass
from orchestrator.decision.scoring import Score, Strategy


def decision_document(decision: Decision) -> dict[str, Any]:
    """A decision in JSON terms."""
    return {
        "request_id": decision.request_id,
        "name": decision.name,
        "taken_at": decision.taken_at,
        "strategy": decision.strategy.value,
        "host": decision.host,
        "start_at": decision.start_at,
        "why": decision.why,
        "needed": amounts_document(decision.needed),
        "verdicts": [_verdict_document(verdict) for verdict in decision.verdicts],
    }


def read_decision(document: Mapping[str, Any]) -> Decision:
    """The decision of a document, for those that show it again later.

    Raises:
        KeyError, ValueError: it is no such document.
    """
    return Decision(
        request_id=document["request_id"],
        name=document["name"],
        taken_at=document["taken_at"],
        host=document["host"],
        why=document["why"],
        needed=_amounts(document["needed"]),
        verdicts=tuple(_read_verdict(item) for item in document["verdicts"]),
        strategy=Strategy(document["strategy"]),
        start_at=document["start_at"],
    )


def plan_document(plan: Plan) -> dict[str, Any]:
    """A plan in JSON terms."""
    return {
        "taken_at": plan.taken_at,
        "strategy": plan.strategy.value,
        "assignments": [
            {
                "request_id": item.request.request_id,
                "name": item.request.name,
                "source": item.request.source.name,
                "job": item.request.job,
                "host": item.host,
                "start_at": item.start_at,
                "needed": amounts_document(item.request.amounts),
            }
            for item in plan.assignments
        ],
        "refused": [decision_document(decision) for decision in plan.refused],
    }


def amounts_document(amounts: Amounts) -> dict[str, int]:
    """Amounts by the names of their classes, in the classes' units."""
    return {key.value: amount for key, amount in amounts.items()}


def _verdict_document(verdict: Verdict) -> dict[str, Any]:
    score = verdict.score
    return {
        "host": verdict.host,
        "fits": verdict.fits,
        "reasons": [reason_document(reason) for reason in verdict.reasons],
        "free": amounts_document(verdict.free),
        "score": None
        if score is None
        else {"value": score.value, "headroom": score.headroom, "left": score.left, "stranded": score.stranded},
    }


def reason_document(reason: Reason) -> dict[str, Any]:
    """A reason in JSON terms."""
    return {
        "code": str(reason.code),
        "sentence": reason.sentence,
        "dimension": None if reason.dimension is None else reason.dimension.value,
        "unit": reason.unit,
        "needed": reason.needed,
        "free": reason.free,
        "shortfall": reason.shortfall,
    }


def _read_verdict(document: Mapping[str, Any]) -> Verdict:
    score = document["score"]
    return Verdict(
        host=document["host"],
        fits=document["fits"],
        reasons=tuple(_read_reason(item) for item in document["reasons"]),
        free=_amounts(document["free"]),
        score=None if score is None else Score(score["value"], score["headroom"], score["left"], score["stranded"]),
    )


def _read_reason(document: Mapping[str, Any]) -> Reason:
    dimension = document["dimension"]
    shortage = document["needed"] is not None
    return Reason(
        code=document["code"],
        text="" if shortage else document["sentence"],
        dimension=None if dimension is None else ResourceClass(dimension),
        needed=document["needed"],
        free=document["free"],
    )


def _amounts(document: Mapping[str, int]) -> Amounts:
    return {ResourceClass(key): amount for key, amount in document.items()}
