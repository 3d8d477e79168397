"""Ask once more whether a launch's host is open.

Since the decision an alert may have begun to fire, and an operator may have closed the host or the fleet.
"""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.decision.cordons import cordon_reasons
from orchestrator.decision.gate import gate_reasons
from orchestrator.decision.reasons import Closures
from orchestrator.decision.request import Request
from orchestrator.decision.snapshot import Cordon, GateReading, Unknown
from orchestrator.launch.errors import HostClosedError
from orchestrator.settings import FleetSettings
from orchestrator.survey.gate import read_gate
from orchestrator.survey.prometheus import PrometheusClient, PrometheusError

_PROMETHEUS_SECONDS = 3.0


def check_gate(fleet: FleetSettings, host: str, request: Request) -> None:
    """Ask Prometheus for alerts, not for telemetry again.

    Raises:
        HostClosedError: there is a reason that no operator has overridden.
    """
    known = frozenset(item.name for item in fleet.hosts)
    _refuse("the gate closed", gate_reasons(_reading(fleet.prometheus.url), known), host, request)


def check_cordons(cordons: Iterable[Cordon], host: str, request: Request, *, now: float) -> None:
    """Look at what operators closed, as the ledger has it now.

    Raises:
        HostClosedError: the host, or the fleet, and no operator has overridden that.
    """
    _refuse(f"{host} was closed", cordon_reasons(cordons, now=now), host, request)


def _refuse(what: str, closures: Closures, host: str, request: Request) -> None:
    for reason in closures.against(host):
        if reason.code not in request.overridden:
            raise HostClosedError(reason.code, f"{what} after the decision: {reason.sentence}")


def _reading(url: str) -> GateReading | Unknown:
    try:
        return read_gate(PrometheusClient(url, timeout=_PROMETHEUS_SECONDS))
    except PrometheusError as error:
        return Unknown(error.message)
