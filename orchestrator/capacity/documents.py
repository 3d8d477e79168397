"""Capacity as JSON documents, as `vdbmon capacity --json` prints them: docs/capacity.schema.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from collector.errors import VdbmonError
from orchestrator.capacity.figures import Consolidation, Dimensions, HostCapacity, WhatIf, fleet_dimensions
from orchestrator.capacity.forecast import Forecasts
from orchestrator.decision.documents import amounts_document, reason_document


def capacity_document(
    taken_at: float, hosts: Sequence[HostCapacity], growth: Forecasts | VdbmonError
) -> dict[str, Any]:
    """Hosts, fleet, and the fleet's growth; `error` says why there is no forecast."""
    return {
        "taken_at": taken_at,
        "hosts": [
            {
                "host": host.host,
                "age": host.age,
                "closed": [reason_document(reason) for reason in host.closed],
                "dimensions": _dimensions(host.dimensions),
            }
            for host in hosts
        ],
        "fleet": _dimensions(fleet_dimensions(hosts)),
        **_growth(growth),
    }


def what_if_document(answer: WhatIf) -> dict[str, Any]:
    """How many fit, by host."""
    return {
        "needed": amounts_document(answer.needed),
        "total": answer.total,
        "runs_out_first": amounts_document(answer.first),
        "hosts": [
            {
                "host": fit.host,
                "count": fit.count,
                "runs_out_first": [key.value for key in fit.first],
                "closed": [reason_document(reason) for reason in fit.closed],
            }
            for fit in answer.hosts
        ],
    }


def consolidation_document(saving: Consolidation) -> dict[str, Any]:
    """Machines saved, with the figures behind it."""
    return {
        "instances": saving.total,
        "hosts": saving.hosts,
        "saved": saving.saved,
        "fewest_hosts": saving.fewest,
        "by_host": dict(saving.instances),
    }


def _growth(growth: Forecasts | VdbmonError) -> dict[str, Any]:
    if isinstance(growth, VdbmonError):
        return {"forecast": None, "error": str(growth)}
    return {"forecast": {key.value: asdict(one) for key, one in growth.items()}, "error": None}


def _dimensions(dimensions: Dimensions) -> dict[str, Any]:
    return {key.value: {"unit": key.unit, **asdict(one)} for key, one in dimensions.items()}
