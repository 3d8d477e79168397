"""Any fleet at any moment, for hypothesis: hosts with room and without, silent engines, alerts, blindness."""

from __future__ import annotations

from hypothesis import strategies as st

from orchestrator.decision.resources import ResourceClass
from orchestrator.decision.snapshot import EngineState, GateAlert, HostState, Snapshot, Telemetry, Unknown
from tests.support.decisions import GIB, IDLE, INVENTORY, NOW, OPEN_GATE, gate

amount_of = {
    ResourceClass.SLOTS: st.integers(0, 6),
    ResourceClass.CPU: st.integers(0, 9000),
    ResourceClass.MEMORY: st.integers(0, 33 * GIB),
    ResourceClass.DISK: st.integers(0, 501 * GIB),
    ResourceClass.READ_BPS: st.integers(0, 401_000_000),
    ResourceClass.WRITE_BPS: st.integers(0, 401_000_000),
}
amounts = st.fixed_dictionaries({}, optional=amount_of)
telemetries = st.one_of(
    st.none(),
    st.builds(Telemetry, up=st.booleans(), age=st.none() | st.floats(0, 100), used=amounts),
    st.just(IDLE),
)
engines = st.one_of(
    st.just(EngineState(fingerprint="e")),
    st.just(Unknown("no answer")),
    st.just(EngineState(fingerprint="e", containers=frozenset({"b1"}))),
)
hosts = st.lists(
    st.builds(
        HostState,
        name=st.sampled_from([f"db{number}" for number in range(6)]),
        inventory=st.just(INVENTORY),
        allocated=amounts,
        engine=engines,
        known_fingerprint=st.sampled_from([None, None, "e", "f"]),
        telemetry=telemetries,
        makes_volumes=st.sampled_from([True, True, True, False]),
    ),
    max_size=6,
    unique_by=lambda item: item.name,
)
alerts = st.lists(
    st.builds(
        GateAlert,
        name=st.sampled_from(["A", "B"]),
        host=st.sampled_from([None, "db0", "db1", "elsewhere"]),
        fleet=st.booleans(),
        firing=st.booleans(),
    ),
    max_size=2,
).map(tuple)
gates = st.one_of(
    st.just(OPEN_GATE),
    st.just(Unknown("no answer")),
    st.builds(gate, alerts=alerts, watchdog_firing=st.booleans(), started_at=st.floats(NOW - 60, NOW)),
)
snapshots = st.builds(lambda some, one: Snapshot(taken_at=NOW, hosts=tuple(some), gate=one), hosts, gates)
