"""Read the gate once more just before a container is made: an alert may have begun to fire since the decision."""

from __future__ import annotations

from orchestrator.decision.gate import gate_reasons
from orchestrator.decision.reasons import OVERRIDABLE
from orchestrator.decision.request import Request
from orchestrator.decision.snapshot import GateReading, Unknown
from orchestrator.launch.errors import GateClosedError
from orchestrator.settings import FleetSettings
from orchestrator.survey.gate import read_gate
from orchestrator.survey.prometheus import PrometheusClient, PrometheusError

_PROMETHEUS_SECONDS = 3.0


def check_gate(fleet: FleetSettings, host: str, request: Request) -> None:
    """Ask Prometheus for alerts, not for telemetry again.

    Raises:
        GateClosedError: there is a reason that no operator has overridden.
    """
    known = frozenset(item.name for item in fleet.hosts)
    overridden = frozenset(request.override.codes if request.override else ()) & OVERRIDABLE
    for reason in gate_reasons(_reading(fleet.prometheus.url), known).against(host):
        if reason.code not in overridden:
            raise GateClosedError(reason.code, f"the gate closed after the decision: {reason.sentence}")


def _reading(url: str) -> GateReading | Unknown:
    try:
        return read_gate(PrometheusClient(url, timeout=_PROMETHEUS_SECONDS))
    except PrometheusError as error:
        return Unknown(error.message)
