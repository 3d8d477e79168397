"""Placement against a real daemon and a real Prometheus: launches, their limits, and every way they can fail."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest

from alerts.thresholds import GATE_FOR
from collector import labels
from collector.errors import VdbmonError
from collector.volume_labels import read_volume_labels
from orchestrator.backup.runner.record import RECORD_NAME
from orchestrator.capacity.figures import capacity, consolidation
from orchestrator.decision.planning import plan_drain
from orchestrator.decision.resources import ResourceClass
from orchestrator.engines.docker_engine import CALL_SECONDS, DockerEngine
from orchestrator.host.limits import DeviceLimits, Limits, read_limits
from orchestrator.host.volumes import LoopVolumes, SizedVolume
from orchestrator.launch import LaunchFailedError, LaunchUnknownError
from orchestrator.ledger import Event, LaunchState, NameTakenError
from orchestrator.placement.scheduler import open_scheduler
from orchestrator.settings import Endpoint, SourceSettings
from tests.support.dockerd import OwnDockerd
from tests.support.fleet import HOST, SMALL, fleet
from tests.support.place import NOTHING, Place, good_record, opened
from tests.support.servers import Server
from tests.support.wait import wait_until
from vdbmon.tables import state_text

WARM = GATE_FOR + 30.0
CGROUP_V1 = Path("/sys/fs/cgroup/memory").is_dir()


@pytest.fixture
def here(
    tmp_path: Path, shared_dockerd: OwnDockerd, busybox: str, monitoring: Server, demo: SourceSettings
) -> Iterator[Place]:
    settings = fleet(tmp_path, docker=shared_dockerd.address, prometheus_url=monitoring.url, demo=demo)
    with opened(settings, shared_dockerd, busybox) as place:
        wait_until(lambda: place.decide().accepted, deadline=WARM, what="the gate is open", every=0.5)
        yield place


def cgroup_file(container_id: str, controller: str, name: str) -> str:
    (path,) = Path("/sys/fs/cgroup", controller if CGROUP_V1 else "").glob(f"**/*{container_id}*/{name}")
    return path.read_text().strip()


def test_launch_runs_under_the_limits_that_were_asked_for(here: Place) -> None:
    placement = here.place("b1", "sleep", "600")
    assert placement.launched is not None
    container = here.client.containers.get("b1")
    assert container.status == "running"
    if CGROUP_V1:
        assert cgroup_file(str(container.id), "cpu", "cpu.cfs_quota_us") == "30000"
        assert cgroup_file(str(container.id), "memory", "memory.limit_in_bytes") == str(64 * 2**20)
        assert cgroup_file(str(container.id), "memory", "memory.memsw.limit_in_bytes") == str(64 * 2**20)
        writes = cgroup_file(str(container.id), "blkio", "blkio.throttle.write_bps_device").splitlines()
        assert [line.split()[1] for line in writes] == ["10000000"], "the volume's own device and no other"
        assert len(cgroup_file(str(container.id), "blkio", "blkio.throttle.read_bps_device").splitlines()) == 2
    limits = placement.launched.limits
    assert limits is not None
    assert (limits.cpu, limits.memory) == (300, 64 * 2**20)
    assert set(limits.devices.values()) == {DeviceLimits(20_000_000, 10_000_000), DeviceLimits(20_000_000, None)}
    (status,) = here.scheduler.statuses()
    assert (status.record.state, status.known, status.held) == (LaunchState.RUNNING, True, SMALL)


def test_container_is_labelled_locked_down_and_tells_no_secret(here: Place) -> None:
    here.place("b1", "sleep", "600")
    attributes = here.client.containers.get("b1").attrs
    (record,) = here.scheduler.ledger.launches()
    found = attributes["Config"]["Labels"]
    assert found[labels.REQUEST_ID] == record.request_id
    assert found[labels.SPEC_HASH] == record.spec_hash
    assert (found[labels.NAME], found[labels.SOURCE], found[labels.JOB]) == ("b1", "demo", "backup")
    host_config = attributes["HostConfig"]
    assert (host_config["NetworkMode"], host_config["ReadonlyRootfs"], host_config["Init"]) == ("none", True, True)
    assert host_config["RestartPolicy"]["Name"] in {"", "no"}
    everything = json.dumps(attributes) + json.dumps([event.detail for event in ledger_events(here)])
    assert "secret-of-the-test" not in everything


def ledger_events(here: Place) -> list[Event]:
    (record,) = here.scheduler.ledger.launches()
    return list(here.scheduler.ledger.events(record.request_id))


def test_volume_is_the_only_place_that_can_be_written(here: Place) -> None:
    script = "echo x >/backup/x && ! echo x 2>/dev/null >/etc/x && ! echo x 2>/dev/null >/var/lib/mysql/x"
    placement = here.place("b1", "sh", "-c", script)
    assert placement.launched is not None
    record = here.scheduler.await_end(placement.decision.request_id)
    assert record.state is LaunchState.DONE, record.outcome


def test_job_that_reads_its_hosts_directory_stays_in_a_plan_to_drain(here: Place, demo: SourceSettings) -> None:
    here.place("b1", "sleep", "600")
    taken = here.scheduler.snapshot()
    plan = plan_drain(taken, HOST, {demo.name: demo})
    assert plan.assignments == ()
    (stays,) = plan.refused
    assert stays.name == "b1"
    assert stays.codes(HOST) == {"host.cordoned"}
    (host,) = capacity(taken)
    slots = host.dimensions[ResourceClass.SLOTS]
    assert (slots.allocated, slots.others, slots.free) == (1, 0, 4)
    assert consolidation(taken).instances == {HOST: 1}


def test_taken_name_is_refused_before_anything_is_done(here: Place) -> None:
    here.place("b1", "sleep", "600")
    before = here.leftovers()
    with pytest.raises(NameTakenError) as caught:
        here.place("b1", "sleep", "600")
    assert caught.value.code == "name.taken"
    assert here.leftovers() == before


def test_container_of_somebody_else_with_that_name_is_refused_and_left_alone(here: Place) -> None:
    here.client.containers.create(here.image, ["sleep", "600"], name="b1")
    placement = here.place("b1", "sleep", "600")
    assert placement.decision.codes(HOST) == {"name.taken"}
    assert here.leftovers() == (["b1"], [], (), {})


@pytest.mark.parametrize(
    ("command", "image", "code", "said"),
    [
        (("sleep", "600"), "vdbmon-test/absent:1", "image.missing", "has no image vdbmon-test/absent:1"),
        (("sh", "-c", "echo boom >&2; exit 3"), None, "container.exited", "with code 3: boom"),
        (("/bin/absent",), None, "container.exited", "with code 127"),
    ],
)
def test_launch_that_fails_leaves_nothing(
    here: Place, command: tuple[str, ...], image: str | None, code: str, said: str
) -> None:
    with pytest.raises(LaunchFailedError, match=said) as caught:
        here.place("b1", *command, image=image)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)
    assert here.leftovers() == NOTHING
    (record,) = here.scheduler.ledger.launches_named("b1")
    kinds = [event.kind for event in here.scheduler.ledger.events(record.request_id)]
    assert kinds[:2] == ["decision", "intent"]
    assert kinds[-2:] == ["state.removed", "released"]


def test_limits_that_the_kernel_does_not_hold_stop_the_launch(here: Place) -> None:
    def without_memory(container_id: str) -> Limits | None:
        found = read_limits(container_id)
        return found and replace(found, memory=None)

    here.scheduler = replace(here.scheduler, read_limits=without_memory)
    with pytest.raises(LaunchFailedError, match="memory is unlimited, not 64 MiB") as caught:
        here.place("b1", "sleep", "600")
    assert caught.value.code == "limits.not_applied"
    assert here.leftovers() == NOTHING


class HeldVolumes(LoopVolumes):
    """Volumes that somebody looks into: they can't be unmounted."""

    holder: IO[str]

    def create(self, name: str, size_bytes: int, volume_labels: Mapping[str, str] | None = None) -> SizedVolume:
        volume = super().create(name, size_bytes, volume_labels)
        self.holder = (volume.mountpoint / "held").open("w")
        return volume


def test_undo_that_fails_keeps_the_allocation_until_it_is_cleared(here: Place) -> None:
    volumes = HeldVolumes(here.scheduler.fleet.volumes.dir)
    here.scheduler = replace(here.scheduler, volumes=volumes)
    with pytest.raises(LaunchUnknownError, match="`vdbmon reconcile` finishes or undoes it"):
        here.place("b1", "sh", "-c", "exit 3")
    (status,) = here.scheduler.statuses()
    assert state_text(status) == "half done at volume: vdbmon reconcile"
    assert status.held == SMALL
    volumes.holder.close()
    here.scheduler.remover().remove("b1", with_volume=False, engine_lost=False)
    assert here.leftovers() == NOTHING


def test_unsafe_credentials_stop_a_launch_before_its_intent(here: Place, demo: SourceSettings) -> None:
    assert demo.credentials_file is not None
    demo.credentials_file.chmod(0o644)
    with pytest.raises(VdbmonError, match="chmod 600"):
        here.place("b1", "sleep", "600")
    assert here.leftovers() == NOTHING
    assert here.scheduler.ledger.launches_named("b1") == ()


def test_a_volume_says_whose_backup_is_in_it_when_its_container_is_gone(here: Place) -> None:
    placement = here.place("b1", "true")
    here.scheduler.await_end(placement.decision.request_id)
    assert placement.launched is not None
    folder = here.scheduler.fleet.volumes.dir
    ((path, given),) = read_volume_labels(folder)
    assert path == str(folder / placement.launched.volume)
    assert (given[labels.NAME], given[labels.SOURCE], given[labels.JOB]) == ("b1", "demo", "backup")
    assert given[labels.IMAGE] == here.image


def test_ended_job_gives_back_all_but_its_disk_space(here: Place) -> None:
    placement = here.place("b1", "true")
    record = here.scheduler.await_end(placement.decision.request_id)
    assert record.state is LaunchState.DONE
    assert here.scheduler.ledger.held(record.request_id) == {ResourceClass.DISK: SMALL[ResourceClass.DISK]}


def test_failed_job_says_why(here: Place) -> None:
    placement = here.place("b1", "sh", "-c", "sleep 2; echo the disk is gone >&2; exit 7")
    record = here.scheduler.await_end(placement.decision.request_id)
    assert record.state is LaunchState.FAILED
    assert record.outcome is not None
    assert record.outcome["message"] == "exit code 7: the disk is gone"


def test_removing_a_running_job_gives_everything_back_and_may_be_done_again(here: Place) -> None:
    here.place("b1", "sleep", "600")
    removal = here.scheduler.remover().remove("b1", with_volume=False, engine_lost=False)
    assert removal.containers_removed == ("b1",)
    assert here.leftovers() == NOTHING
    assert here.scheduler.remover().remove("b1", with_volume=False, engine_lost=False).nothing


def test_volume_with_a_good_backup_is_kept_with_its_space_until_it_is_named(here: Place) -> None:
    placement = here.place("b1", "true")
    assert placement.launched is not None
    here.scheduler.await_end(placement.decision.request_id)
    volume = here.scheduler.volumes.get(placement.launched.volume)
    assert isinstance(volume, SizedVolume)
    (volume.mountpoint / volume.name).mkdir()
    (volume.mountpoint / volume.name / RECORD_NAME).write_text(good_record(volume.name))

    removal = here.scheduler.remover().remove("b1", with_volume=False, engine_lost=False)
    assert removal.volumes_kept == (volume.name,)
    assert here.leftovers()[2:] == ((volume.name,), {HOST: {ResourceClass.DISK: SMALL[ResourceClass.DISK]}})
    here.place("b1", "sleep", "600")
    assert len(here.scheduler.statuses()) == 2

    here.scheduler.remover().remove("b1", with_volume=True, engine_lost=False)
    assert here.leftovers() == NOTHING


def test_record_behind_a_link_is_no_backup(here: Place, tmp_path: Path) -> None:
    placement = here.place("b1", "true")
    assert placement.launched is not None
    here.scheduler.await_end(placement.decision.request_id)
    volume = here.scheduler.volumes.get(placement.launched.volume)
    assert isinstance(volume, SizedVolume)
    (volume.mountpoint / volume.name).mkdir()
    outside = tmp_path / "outside.json"
    outside.write_text(good_record(volume.name))
    (volume.mountpoint / volume.name / RECORD_NAME).symlink_to(outside)
    removal = here.scheduler.remover().remove("b1", with_volume=False, engine_lost=False)
    assert removal.volumes_removed == (volume.name,)


def test_what_was_placed_moments_ago_counts_by_its_allocation(here: Place) -> None:
    for number in range(5):
        assert here.place(f"b{number}", "sleep", "600").launched is not None
    refused = here.place("b5", "sleep", "600")
    assert refused.decision.codes(HOST) == {"capacity.slots"}
    (reason,) = refused.decision.verdicts[0].reasons
    assert (reason.needed, reason.free, reason.shortfall) == (1, 0, 1)


def test_frozen_engine_is_refused_in_time_and_served_again_when_it_answers(
    tmp_path: Path, lent_dockerd: OwnDockerd, busybox: str, monitoring: Server, demo: SourceSettings
) -> None:
    settings = fleet(tmp_path, docker=lent_dockerd.address, prometheus_url=monitoring.url, demo=demo)
    with opened(settings, lent_dockerd, busybox) as place:
        wait_until(lambda: place.decide().accepted, deadline=WARM, what="the gate is open", every=0.5)
        place.place("b1", "sleep", "600")
        lent_dockerd.freeze()
        started = time.monotonic()
        decision = place.decide()
        (status,) = place.scheduler.statuses()
        elapsed = time.monotonic() - started
        lent_dockerd.thaw()
        assert "engine.unreachable" in decision.codes(HOST)
        assert not status.known
        assert elapsed < CALL_SECONDS, "no call was waited for to its end"
        assert place.decide().accepted


class FreezesBeforeStart(DockerEngine):
    """An engine whose daemon hangs between create and start."""

    daemon: OwnDockerd

    def start(self, container_id: str) -> None:
        self.daemon.freeze()
        super().start(container_id)


def test_engine_that_hangs_in_the_middle_keeps_the_allocation_until_it_is_known(
    tmp_path: Path, lent_dockerd: OwnDockerd, busybox: str, monitoring: Server, demo: SourceSettings
) -> None:
    settings = fleet(tmp_path, docker=lent_dockerd.address, prometheus_url=monitoring.url, demo=demo)
    engine = FreezesBeforeStart(lent_dockerd.address, call_seconds=1.0)
    engine.daemon = lent_dockerd
    with opened(settings, lent_dockerd, busybox) as place:
        place.scheduler = replace(place.scheduler, engines={HOST: engine})
        wait_until(lambda: place.decide().accepted, deadline=WARM, what="the gate is open", every=0.5)
        with pytest.raises(LaunchUnknownError, match="`vdbmon reconcile`") as caught:
            place.place("b1", "sleep", "600")
        assert caught.value.code == "launch.unknown"
        lent_dockerd.thaw()
        (record,) = place.scheduler.ledger.launches()
        assert record.state is LaunchState.CREATED
        assert place.scheduler.ledger.held(record.request_id) == SMALL
        place.scheduler.remover().remove("b1", with_volume=False, engine_lost=False)
        assert place.leftovers() == NOTHING


def test_another_engine_in_the_place_of_a_known_one_is_not_touched(
    here: Place, tmp_path: Path, own_dockerd: OwnDockerd, monitoring: Server, demo: SourceSettings
) -> None:
    here.place("b1", "sleep", "600")
    settings = fleet(tmp_path, docker=own_dockerd.address, prometheus_url=monitoring.url, demo=demo)
    with open_scheduler(settings, HOST) as other:
        request = other.request("b2", source="demo", job="backup", amounts=SMALL)
        assert other.decide(request).codes(HOST) == {"engine.unknown"}
        with pytest.raises(VdbmonError, match="another engine") as caught:
            other.remover().remove("b1", with_volume=False, engine_lost=False)
        assert caught.value.code == "engine.unknown"
    assert here.scheduler.ledger.launches()[0].state is LaunchState.RUNNING


def test_hung_prometheus_is_refused_in_time(here: Place) -> None:
    with exporter_that_hangs() as url:
        scheduler = replace(here.scheduler, fleet=replace(here.scheduler.fleet, prometheus=Endpoint(url=url)))
        started = time.monotonic()
        request = scheduler.request("b2", source="demo", job="backup", amounts=SMALL)
        decision = scheduler.decide(request)
        assert decision.codes(HOST) == {"prometheus.unreachable"}
        assert time.monotonic() - started < 10


@contextlib.contextmanager
def exporter_that_hangs() -> Iterator[str]:
    """Accepts connections and never answers."""
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
