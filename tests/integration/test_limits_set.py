"""Limits of a running container changed: what the kernel holds it to, what the ledger gives away, what is refused."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from alerts.thresholds import GATE_FOR
from collector.errors import VdbmonError
from orchestrator.decision.resources import ResourceClass
from orchestrator.decision.snapshot import Snapshot
from orchestrator.engines.docker_engine import DockerEngine
from orchestrator.engines.engine import EngineRefusedError, EngineUnreachableError, LiveLimits
from orchestrator.host.limits import Limits, Told, read_limits
from orchestrator.ledger import ConcurrentUpdateError, LaunchRecord
from orchestrator.placement.live_limits import LimitsRefusedError, set_limits
from orchestrator.placement.scheduler import Scheduler
from orchestrator.settings import SourceSettings
from tests.support.dockerd import OwnDockerd
from tests.support.fleet import GIB, HOST, MIB, SMALL, fleet
from tests.support.place import Place, opened
from tests.support.servers import Server
from tests.support.wait import wait_until

WARM = GATE_FOR + 30.0


@pytest.fixture
def here(
    tmp_path: Path, shared_dockerd: OwnDockerd, busybox: str, monitoring: Server, demo: SourceSettings
) -> Iterator[Place]:
    settings = fleet(tmp_path, docker=shared_dockerd.address, prometheus_url=monitoring.url, demo=demo)
    with opened(settings, shared_dockerd, busybox) as place:
        wait_until(lambda: place.decide().accepted, deadline=WARM, what="the gate is open", every=0.5)
        place.place("b1", "sleep", "600")
        yield place


def running(scheduler: Scheduler) -> LaunchRecord:
    (record,) = scheduler.ledger.launches()
    return record


def held(scheduler: Scheduler) -> tuple[int, int]:
    amounts = scheduler.ledger.held(running(scheduler).request_id)
    return amounts[ResourceClass.CPU], amounts[ResourceClass.MEMORY]


def in_kernel(scheduler: Scheduler) -> tuple[int | None, int | None, int | None]:
    found = read_limits(str(running(scheduler).container_id))
    assert found is not None
    return found.cpu, found.memory, found.pids


def test_limits_are_raised_and_lowered_in_kernel_and_ledger_and_recorded(here: Place) -> None:
    scheduler = here.scheduler
    change = set_limits(scheduler, "b1", LiveLimits(cpu=800, memory=256 * MIB, pids=64))
    assert change.found.told is Told.CGROUP
    assert in_kernel(scheduler) == (800, 256 * MIB, 64)
    assert held(scheduler) == (800, 256 * MIB)
    set_limits(scheduler, "b1", LiveLimits(cpu=100, memory=32 * MIB))
    assert in_kernel(scheduler) == (100, 32 * MIB, 64)
    assert held(scheduler) == (100, 32 * MIB)
    record = running(scheduler)
    assert (record.spec["cpu"], record.spec["memory"], record.spec["pids"]) == (100, 32 * MIB, 64)
    events = [event for event in scheduler.ledger.events(record.request_id) if event.kind.startswith("limits")]
    assert [event.kind for event in events] == ["limits.wanted", "limits", "limits"]
    assert {event.who for event in events} == {scheduler.operator}
    assert scheduler.ledger.view().allocated[HOST][ResourceClass.CPU] == 100


def test_raising_beyond_what_is_free_is_refused_and_changes_nothing(here: Place) -> None:
    with pytest.raises(LimitsRefusedError, match=r"CPU: 2 cores needed, 1\.7 cores free, 0\.3 cores short") as caught:
        set_limits(here.scheduler, "b1", LiveLimits(cpu=2300))
    assert caught.value.code == "capacity.cpu"
    assert caught.value.exit_code == 3
    with pytest.raises(LimitsRefusedError, match="memory: ") as caught:
        set_limits(here.scheduler, "b1", LiveLimits(memory=9 * GIB))
    assert caught.value.code == "capacity.memory"
    assert in_kernel(here.scheduler) == (300, 64 * MIB, 256)
    assert held(here.scheduler) == (SMALL[ResourceClass.CPU], SMALL[ResourceClass.MEMORY])


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (LiveLimits(cpu=5), "CPU of 0.005 cores is too small"),
        (LiveLimits(memory=MIB), "memory of 1 MiB is too small"),
        (LiveLimits(pids=1), "1 pids are too few"),
    ],
    ids=["cpu", "memory", "pids"],
)
def test_what_docker_can_not_run_with_is_refused_by_name(here: Place, wanted: LiveLimits, said: str) -> None:
    with pytest.raises(LimitsRefusedError, match=said):
        set_limits(here.scheduler, "b1", wanted)


def test_only_a_running_container_can_be_changed(here: Place) -> None:
    placement = here.place("b2", "true")
    here.scheduler.await_end(placement.decision.request_id)
    with pytest.raises(LimitsRefusedError, match="b2 is done") as caught:
        set_limits(here.scheduler, "b2", LiveLimits(cpu=200))
    assert caught.value.code == "launch.not_running"


def test_a_change_decided_on_a_host_that_has_changed_since_fails(here: Place) -> None:
    class Slow(Scheduler):
        """Somebody else places a container between the survey and the write."""

        def snapshot(self) -> Snapshot:
            taken = super().snapshot()
            here.place("b2", "sleep", "600")
            return taken

    slow = Slow(**{name: getattr(here.scheduler, name) for name in Scheduler.__slots__})
    with pytest.raises(ConcurrentUpdateError):
        set_limits(slow, "b1", LiveLimits(cpu=500))
    assert [
        item.cpu for item in [read_limits(str(r.container_id)) for r in here.scheduler.ledger.launches()] if item
    ] == [
        300,
        300,
    ]


class Refuses(DockerEngine):
    """An engine that says no."""

    def update(self, container_id: str, limits: LiveLimits) -> None:
        raise EngineRefusedError("engine.refused", f"engine refused {container_id[:4]}: {limits.cpu}")


class Silent(DockerEngine):
    """An engine that changes the limits and falls silent."""

    def update(self, container_id: str, limits: LiveLimits) -> None:
        super().update(container_id, limits)
        raise EngineUnreachableError(self.address, "no answer in time")


def with_engine(here: Place, kind: type[DockerEngine]) -> Scheduler:
    address = here.scheduler.engines[HOST].address
    return replace(here.scheduler, engines={HOST: kind(address)})


def test_what_the_engine_refuses_gives_the_room_back(here: Place) -> None:
    with pytest.raises(EngineRefusedError):
        set_limits(with_engine(here, Refuses), "b1", LiveLimits(cpu=900))
    assert held(here.scheduler) == (300, 64 * MIB)
    kinds = [event.kind for event in here.scheduler.ledger.events(running(here.scheduler).request_id)]
    assert kinds[-2:] == ["limits.wanted", "limits.refused"]


def test_after_an_engine_that_fell_silent_the_larger_of_both_is_held_until_it_is_asked_again(here: Place) -> None:
    with pytest.raises(VdbmonError, match="the larger of old and new stays allocated") as caught:
        set_limits(with_engine(here, Silent), "b1", LiveLimits(cpu=900, memory=32 * MIB))
    assert caught.value.code == "limits.unknown"
    assert held(here.scheduler) == (900, 64 * MIB)
    set_limits(here.scheduler, "b1", LiveLimits(cpu=900, memory=32 * MIB))
    assert held(here.scheduler) == (900, 32 * MIB)


def test_a_kernel_that_has_other_limits_gets_the_old_ones_back(here: Place) -> None:
    def odd(container_id: str) -> Limits | None:
        found = read_limits(container_id)
        return found and replace(found, cpu=777)

    with pytest.raises(VdbmonError, match=r"CPU is 0\.777 cores, not 0\.9 cores") as caught:
        set_limits(replace(here.scheduler, read_limits=odd), "b1", LiveLimits(cpu=900))
    assert caught.value.code == "limits.not_applied"
    assert in_kernel(here.scheduler)[0] == 300
    assert held(here.scheduler) == (300, 64 * MIB)
