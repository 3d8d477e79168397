"""What came of a request, and how a launch is now."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from orchestrator.decision.decide import Decision
from orchestrator.decision.documents import decision_document
from orchestrator.decision.resources import Amounts
from orchestrator.launch import Launched
from orchestrator.ledger import LaunchRecord

_LAUNCHED = TypeAdapter(Launched | None)
_ENDED = TypeAdapter(LaunchRecord | None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A decision, and what came of it.

    Attributes:
        launched: None for a refusal and for a dry run.
        ended: the job's record once it was waited for.
        error: why the launch failed.
    """

    decision: Decision
    launched: Launched | None = None
    ended: LaunchRecord | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchStatus:
    """A launch as it is now.

    Attributes:
        known: its engine answered, or it need not be asked; else the record may be out of date.
        held: what it holds of its host, per class.
    """

    record: LaunchRecord
    known: bool
    held: Amounts


def placement_json(placement: Placement) -> str:
    """One JSON document: docs/placement.schema.json."""
    document = {
        "decision": decision_document(placement.decision),
        "launched": launched_document(placement.launched),
        "ended": _ENDED.dump_python(placement.ended, mode="json"),
        "error": placement.error,
    }
    return json.dumps(document, indent=2)


def launched_document(launched: Launched | None) -> Any:
    """In JSON terms; None for none."""
    return _LAUNCHED.dump_python(launched, mode="json")
