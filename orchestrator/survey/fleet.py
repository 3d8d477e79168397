"""Take a snapshot of the fleet: all engines and Prometheus asked at once under one deadline, then the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from collector.errors import VdbmonError
from orchestrator.decision.addresses import use_of
from orchestrator.decision.resources import inventory_rows, no_amounts
from orchestrator.decision.snapshot import EngineState, GateReading, HostState, Snapshot, Telemetry, Unknown
from orchestrator.engines.address import is_over_ssh
from orchestrator.engines.engine import Engine
from orchestrator.ledger import Ledger, LedgerView
from orchestrator.remote.disks import disk_of_host, mounted
from orchestrator.settings import FleetSettings, HostSettings
from orchestrator.survey.deadline import Stragglers, ask_all
from orchestrator.survey.gate import read_gate
from orchestrator.survey.prometheus import PrometheusClient
from orchestrator.survey.telemetry import Readings, read_telemetry, telemetry_of

SURVEY_SECONDS = 5.0
PROMETHEUS_SECONDS = 3.0
LAST_TENTH_SECONDS, STRAGGLER_SECONDS, SSH_STRAGGLER_SECONDS = 0.3, 1.0, 3.0
"""How much longer an engine may take than nine of ten others, than any other, and than any other if ssh has to log in
first: one that hangs must not cost the command seconds."""

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
    answers: dict[str | None, EngineState | _Monitoring | VdbmonError] = ask_all(
        calls, seconds=SURVEY_SECONDS, stragglers=replace(engines_behind(engines), awaited=frozenset({None}))
    )
    gate, readings = _split(answers.get(None), fleet.prometheus.url)
    folders = {
        host.name: fleet.volumes.dir if host.name == local_host else _volumes_folder(answers.get(host.name), fleet)
        for host in fleet.hosts
    }
    asked = Snapshot(
        taken_at=clock(),
        hosts=tuple(
            HostState(
                name=host.name,
                inventory=inventory_rows(host.inventory),
                engine=_engine_state(answers.get(host.name), engines[host.name].address),
                telemetry=_telemetry(host, readings, folders[host.name]),
                makes_volumes=host.name == local_host or _knows_disk(host, readings, answers.get(host.name), fleet),
                zone=host.zone,
                device_class=host.device_class,
                pools=frozenset(host.pools),
                labels=host.labels,
            )
            for host in fleet.hosts
        ),
        gate=gate,
        pools={pool.name: use_of(pool, (), now=clock()) for pool in fleet.pools},
    )
    return with_ledger(asked, ledger.view())


def engines_behind(engines: Mapping[str, Engine]) -> Stragglers[str | None]:
    """How long an engine that is behind the others is waited for."""

    def seconds(host: str | None) -> float:
        over_ssh = host is not None and is_over_ssh(engines[host].address)
        return SSH_STRAGGLER_SECONDS if over_ssh else STRAGGLER_SECONDS

    return Stragglers(last_tenth=LAST_TENTH_SECONDS, others=seconds)


def with_ledger(snapshot: Snapshot, view: LedgerView) -> Snapshot:
    """The same answers of engines and Prometheus, and the ledger as it is now."""
    hosts = (
        replace(
            host,
            allocated=view.allocated.get(host.name, no_amounts()),
            generation=view.generations.get(host.name, 0),
            known_fingerprint=view.fingerprints.get(host.name),
            jobs=view.jobs.get(host.name, ()),
        )
        for host in snapshot.hosts
    )
    return replace(
        snapshot,
        hosts=tuple(hosts),
        names=view.names,
        cordons=view.cordons,
        readers=view.readers,
        source_generations=view.source_generations,
        pools={
            name: use_of(use.pool, view.holdings.get(name, ()), now=snapshot.taken_at)
            for name, use in snapshot.pools.items()
        },
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
            return Unknown(f"engine {address} doesn't answer in time")


def _volumes_folder(answer: _Answer, fleet: FleetSettings) -> Path:
    """Where volumes lie on another host: the engine's own, in its data root."""
    if isinstance(answer, EngineState) and answer.data_root is not None:
        return Path(answer.data_root) / "volumes"
    return fleet.volumes.dir


def _knows_disk(host: HostSettings, readings: Readings | None, answer: _Answer, fleet: FleetSettings) -> bool:
    """Whether the disk under the engine's volumes is known, so that limits can be set on it."""
    if readings is None or readings.up.get(host.name, 0.0) < 1 or not isinstance(answer, EngineState):
        return True  # that Prometheus, the agent or the engine doesn't answer is said elsewhere
    seen = mounted(labels for labels, _ in readings.filesystems.get(host.name, ()))
    return disk_of_host(_volumes_folder(answer, fleet), host.disks, seen) is not None


def _telemetry(host: HostSettings, readings: Readings | None, volumes: Path) -> Telemetry | None:
    if readings is None:
        return None
    return telemetry_of(host.name, readings, inventory_rows(host.inventory), volumes)
