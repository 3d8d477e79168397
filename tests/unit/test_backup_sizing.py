from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.backup.entries import Backup, entry_of
from orchestrator.backup.inputs import NO_INPUTS, JobInputs, StoredBackup
from orchestrator.backup.runner.record import Kind, Peaks, State
from orchestrator.backup.sizing import MARGIN, usual_sizes
from orchestrator.decision.resources import ResourceClass
from orchestrator.decision.sizes import CPUS, parse_amounts
from tests.support.backups import MIB, record

EVERY = frozenset(ResourceClass)


def run(name: str, peaks: Peaks | None, *, at: float = 1_795_410_000.0, kind: Kind = Kind.FULL) -> Backup:
    return entry_of(record(name, kind, at=at, peaks=peaks), host="db1", volume=name)


def test_without_an_earlier_run_nothing_is_said() -> None:
    assert usual_sizes("backup", NO_INPUTS, (), counted=EVERY) == {}
    failed = replace(run("b1", Peaks(cpu=1.0)), made=State.FAILED)
    assert usual_sizes("backup", NO_INPUTS, (failed,), counted=EVERY) == {}


def test_the_highest_peak_of_the_last_runs_counts_with_a_margin() -> None:
    runs = (
        run("b1", Peaks(cpu=0.5, memory=300 * MIB, read_bps=40_000_000, write_bps=8_000_000), at=1e9),
        run("b2", Peaks(cpu=0.8, memory=200 * MIB, read_bps=10_000_000, write_bps=20_000_000), at=2e9),
    )
    sizes = usual_sizes("backup", NO_INPUTS, runs, counted=EVERY)
    assert sizes == {
        CPUS: 1.0,
        "memory": 384 * MIB,
        "read_bps": 50_000_000,
        "write_bps": 25_000_000,
        "disk": 64 * MIB,
    }
    assert parse_amounts(sizes)[ResourceClass.CPU] == 1000


def test_an_old_peak_is_forgotten_after_five_runs() -> None:
    runs = tuple(run(f"b{at}", Peaks(cpu=4.0 if at == 0 else 0.4), at=1e9 + at) for at in range(6))
    assert usual_sizes("backup", NO_INPUTS, runs, counted=EVERY)[CPUS] == 0.5


def test_an_increment_is_sized_by_increments_and_a_dump_by_dumps() -> None:
    runs = (
        run("f1", Peaks(cpu=2.0)),
        run("i1", Peaks(cpu=0.4), kind=Kind.INCREMENTAL),
        run("d1", Peaks(cpu=1.2), kind=Kind.LOGICAL),
    )
    later = JobInputs(parent="f1", from_lsn=1, host="db1")
    assert usual_sizes("backup", later, runs, counted=EVERY)[CPUS] == 0.5
    assert usual_sizes("logical", NO_INPUTS, runs, counted=EVERY)[CPUS] == 1.5


def test_the_network_is_asked_for_only_where_some_host_counts_it() -> None:
    runs = (run("b1", Peaks(network_in_bps=8_000_000)),)
    assert usual_sizes("backup", NO_INPUTS, runs, counted=EVERY)["network_in"] == 10_000_000
    assert "network_in" not in usual_sizes("backup", NO_INPUTS, runs, counted=EVERY - {ResourceClass.NETWORK_IN})


def test_a_restore_has_room_for_what_it_unpacks_also_the_first_time() -> None:
    runs = (run("f1", None), run("i1", None, kind=Kind.INCREMENTAL))
    both = JobInputs(backups=tuple(StoredBackup(id=name, volume=name) for name in ("f1", "i1")), host="db1")
    sizes = usual_sizes("verify", both, runs, counted=EVERY)
    assert list(sizes) == ["disk"]
    assert float(sizes["disk"]) >= (20 + 512) * MIB * MARGIN


amounts = st.none() | st.integers(0, 2**40)


@given(
    st.lists(
        st.builds(Peaks, cpu=st.none() | st.floats(0, 512), memory=amounts, read_bps=amounts, write_bps=amounts),
        min_size=1,
        max_size=8,
    )
)
def test_whatever_was_measured_a_size_comes_of_it_that_can_be_asked_for(peaks: list[Peaks]) -> None:
    runs = tuple(run(f"b{place}", item, at=1e9 + place) for place, item in enumerate(peaks))
    sizes = usual_sizes("backup", NO_INPUTS, runs, counted=EVERY)
    asked = parse_amounts(sizes)
    last = peaks[-5:]
    assert asked[ResourceClass.CPU] >= max((item.cpu or 0 for item in last), default=0) * 1000
    for key in (ResourceClass.MEMORY, ResourceClass.READ_BPS, ResourceClass.WRITE_BPS):
        highest = max((getattr(item, key) or 0 for item in last), default=0)
        if highest:
            assert asked[key] >= highest
    assert usual_sizes("backup", NO_INPUTS, tuple(reversed(runs)), counted=EVERY) == sizes


@pytest.mark.parametrize("job", ["backup", "logical", "verify", "restore", "standby", "copy", "binlog"])
def test_every_job_can_be_sized(job: str) -> None:
    assert usual_sizes(job, NO_INPUTS, (), counted=EVERY) == {}
