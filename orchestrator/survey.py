"""Take a snapshot of the fleet: all engines and Prometheus asked at once under one deadline, then the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from collector.errors import VdbmonError
from orchestrator.deadline import ask_all
from orchestrator.engine import Engine
from orchestrator.gate import read_gate
from orchestrator.ledger import LaunchRecord, Ledger, LedgerView
from orchestrator.prometheus import PrometheusClient
from orchestrator.resources import ResourceClass, inventory_rows, no_amounts
from orchestrator.settings import FleetSettings, HostSettings
from orchestrator.snapshot import EngineState, GateReading, HostState, PlacedJob, Snapshot, Telemetry, Unknown
from orchestrator.telemetry import Readings, read_telemetry, telemetry_of

SURVEY_SECONDS = 5.0
PROMETHEUS_SECONDS = 3.0

_Monitoring = tuple[GateReading, Readings]
_Answer = EngineState | _Monitoring | VdbmonError | None


def take_snapshot(
    fleet: FleetSettings,
    *,
    local_host: str,
    engines: Mapping[str, Engine],
    probe: Callable[[str], EngineState],
    ledger: Ledger,
    clock: Callable[[], float],
) -> Snapshot:
    """Ask everybody; what doesn't answer within SURVEY_SECONDS is unknown, and a decision closes on what is unknown.

    `probe` asks the engine of a host. The ledger is read last: a generation that moves after it makes the allocation
    fail, one that moved before doesn't.
    """
    client = PrometheusClient(fleet.prometheus.url, timeout=PROMETHEUS_SECONDS)
    calls: dict[str | None, Callable[[], EngineState | _Monitoring]] = {name: partial(probe, name) for name in engines}
    calls[None] = lambda: _monitoring(client)
    answers: dict[str | None, EngineState | _Monitoring | VdbmonError] = ask_all(calls, seconds=SURVEY_SECONDS)
    gate, readings = _split(answers.get(None), fleet.prometheus.url)
    view = ledger.view()
    records = [record for record in ledger.launches() if not record.state.ended]
    return Snapshot(
        taken_at=clock(),
        hosts=tuple(
            _host_state(
                host,
                engine=_engine_state(answers.get(host.name), engines[host.name].address),
                telemetry=_telemetry(host, readings, fleet),
                view=view,
                makes_volumes=host.name == local_host,
                jobs=tuple(_job(record) for record in records if record.host == host.name),
            )
            for host in fleet.hosts
        ),
        gate=gate,
        names=view.names,
    )


def _monitoring(client: PrometheusClient) -> _Monitoring:
    return read_gate(client), read_telemetry(client)


def _split(answer: _Answer, url: str) -> tuple[GateReading | Unknown, Readings | None]:
    match answer:
        case (GateReading() as gate, Readings() as readings):
            return gate, readings
        case VdbmonError() as error:
            return Unknown(error.message), None
        case _:
            return Unknown(f"Prometheus at {url} doesn't answer within {SURVEY_SECONDS:g} s"), None


def _engine_state(answer: _Answer, address: str) -> EngineState | Unknown:
    match answer:
        case EngineState():
            return answer
        case VdbmonError() as error:
            return Unknown(error.message)
        case _:
            return Unknown(f"engine {address} doesn't answer within {SURVEY_SECONDS:g} s")


def _telemetry(host: HostSettings, readings: Readings | None, fleet: FleetSettings) -> Telemetry | None:
    if readings is None:
        return None
    return telemetry_of(host.name, readings, inventory_rows(host.inventory), fleet.volumes.dir)


def _host_state(
    host: HostSettings,
    *,
    engine: EngineState | Unknown,
    telemetry: Telemetry | None,
    view: LedgerView,
    makes_volumes: bool,
    jobs: tuple[PlacedJob, ...],
) -> HostState:
    return HostState(
        name=host.name,
        inventory=inventory_rows(host.inventory),
        allocated=view.allocated.get(host.name, no_amounts()),
        generation=view.generations.get(host.name, 0),
        engine=engine,
        known_fingerprint=view.fingerprints.get(host.name),
        telemetry=telemetry,
        makes_volumes=makes_volumes,
        zone=host.zone,
        device_class=host.device_class,
        pools=frozenset(host.pools),
        labels=host.labels,
        jobs=jobs,
    )


def _job(record: LaunchRecord) -> PlacedJob:
    return PlacedJob(
        request_id=record.request_id,
        name=record.name,
        source=record.source,
        job=record.job,
        amounts={
            ResourceClass.SLOTS: 1,
            ResourceClass.CPU: record.spec["cpu"],
            ResourceClass.MEMORY: record.spec["memory"],
            ResourceClass.DISK: record.spec["volume_size"],
            ResourceClass.READ_BPS: record.spec["read_bps"],
            ResourceClass.WRITE_BPS: record.spec["write_bps"],
        },
    )
