"""Launches that meet trouble halfway, against a real daemon and a real Prometheus: one clear line, a clean ledger."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from alerts.thresholds import GATE_FOR
from orchestrator.decision.decide import Decision
from orchestrator.decision.reasons import Code
from orchestrator.decision.request import Override
from orchestrator.decision.resources import ResourceClass
from orchestrator.decision.snapshot import Cordon
from orchestrator.engines.docker_engine import DockerEngine
from orchestrator.host.limits import DeviceLimits
from orchestrator.host.volumes import LoopVolumes
from orchestrator.launch import LaunchFailedError, LaunchUnknownError
from orchestrator.launch.samples import sampled_by
from orchestrator.ledger import LaunchState
from orchestrator.placement.outcomes import Placement
from orchestrator.placement.scheduler import Scheduler
from orchestrator.reconcile import GRACE_SECONDS, SILENT_AFTER, reconciler
from orchestrator.settings import HostSettings, SourceSettings, VolumeSettings
from tests.support.disks import Disk, loop_disk
from tests.support.dockerd import OwnDockerd, import_busybox
from tests.support.fleet import CONFIG, HOST, MIB, SMALL, Exporter, fleet, gate_prometheus
from tests.support.place import NOTHING, Place, opened
from tests.support.servers import Server, freeze, prometheus, stop
from tests.support.wait import wait_until

WARM = GATE_FOR + 30.0
SOON = 20.0
FULL = f'test_filesystem_full{{host="{HOST}"}}'
CGROUP_V1 = Path("/sys/fs/cgroup/memory").is_dir()


@dataclass
class Trouble:
    """A scheduler, and what a test can do to its surroundings."""

    place: Place
    metrics: Exporter
    monitoring: Server

    def launch(self, name: str, *, meanwhile: Callable[[], None], override: Override | None = None) -> Placement:
        """Place it; `meanwhile` happens between the decision and the first step."""
        scheduler = self.place.job("sleep", "600")
        request = scheduler.request(name, source="demo", job="backup", amounts=SMALL)

        def decided(decision: Decision) -> None:
            assert decision.accepted
            meanwhile()

        return scheduler.place(replace(request, override=override), decided=decided)

    def alert(self) -> None:
        """Let a gate alert of the host fire."""
        self.metrics.extra[FULL] = 1
        wait_until(lambda: Code.ALERT_FIRING in self.codes(), deadline=SOON, what="the alert fires", every=0.2)

    def codes(self) -> frozenset[str]:
        return self.place.decide().codes(HOST)

    def events(self, name: str) -> list[str]:
        return [event.kind for event in self.place.scheduler.ledger.events_named(name)]


@pytest.fixture
def trouble(
    tmp_path: Path, lent_dockerd: OwnDockerd, metrics: Exporter, monitoring: Server, demo: SourceSettings
) -> Iterator[Trouble]:
    image = import_busybox(lent_dockerd.client())
    settings = fleet(tmp_path, docker=lent_dockerd.address, prometheus_url=monitoring.url, demo=demo)
    with opened(settings, lent_dockerd, image) as place:
        wait_until(lambda: place.decide().accepted, deadline=WARM, what="the gate is open", every=0.5)
        yield Trouble(place, metrics, monitoring)


def test_an_alert_that_fires_after_the_decision_stops_the_launch_before_its_container(trouble: Trouble) -> None:
    with pytest.raises(LaunchFailedError) as caught:
        trouble.launch("b1", meanwhile=trouble.alert)
    assert caught.value.code == "alert.firing"
    said = "b1 was not launched: the gate closed after the decision: alert HostFilesystemFull fires"
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)
    assert trouble.place.leftovers() == NOTHING
    assert trouble.events("b1")[-3:] == ["failed.create", "state.removed", "released"]


def test_an_operator_who_overrides_the_alert_has_his_launch(trouble: Trouble) -> None:
    override = Override(codes=(Code.ALERT_FIRING,), who="ann", why="it is urgent")
    assert trouble.launch("b1", meanwhile=trouble.alert, override=override).launched is not None


@pytest.mark.parametrize(
    ("closed", "code", "said"),
    [(HOST, "host.cordoned", "cordoned by ann"), (None, "fleet.frozen", "the fleet is frozen by ann")],
)
def test_a_cordon_after_the_decision_stops_the_launch_before_its_container(
    trouble: Trouble, closed: str | None, code: str, said: str
) -> None:
    cordon = Cordon(closed, "ann", "new disks", None, time.time())
    ledger = trouble.place.scheduler.ledger
    with pytest.raises(LaunchFailedError) as caught:
        trouble.launch("b1", meanwhile=lambda: ledger.cordon(cordon, hosts=[HOST]))
    assert caught.value.code == code
    expected = f"b1 was not launched: {HOST} was closed after the decision: {said}, with no end set: new disks"
    assert str(caught.value) == expected
    assert trouble.place.leftovers() == NOTHING
    assert trouble.events("b1")[-3:] == ["failed.create", "state.removed", "released"]


def test_no_launch_slips_through_while_a_restarted_prometheus_warms_up(
    tmp_path: Path, lent_dockerd: OwnDockerd, demo: SourceSettings, metrics: Exporter
) -> None:
    folder = tmp_path / "prometheus"
    folder.mkdir()
    image = import_busybox(lent_dockerd.client())
    with gate_prometheus(folder, metrics) as first:
        settings = fleet(tmp_path, docker=lent_dockerd.address, prometheus_url=first.url, demo=demo)
        with opened(settings, lent_dockerd, image) as place:
            trouble = Trouble(place, metrics, first)
            wait_until(lambda: place.decide().accepted, deadline=WARM, what="the gate is open", every=0.5)
            trouble.alert()
            stop(first.process)
            seen: set[frozenset[str]] = set()

            def closed_for_good() -> bool:
                """Placed again and again, from the restart until the alert is back."""
                placement = place.place(f"b{len(seen)}", "sleep", "600")
                assert placement.launched is None, f"slipped through after {seen}"
                codes = placement.decision.codes(HOST)
                seen.add(codes)
                return Code.ALERT_FIRING in codes and Code.PROMETHEUS_WARMING_UP not in codes

            config = CONFIG.format(port=metrics.port, host=HOST, alertmanagers="")
            with prometheus(folder, config, first.port):
                wait_until(closed_for_good, deadline=WARM + SOON, what="the alert is back", every=0.3)
            assert any(Code.PROMETHEUS_WARMING_UP in codes for codes in seen)
            assert place.leftovers() == NOTHING


def test_a_prometheus_that_restarts_after_the_decision_stops_the_launch(
    tmp_path: Path, lent_dockerd: OwnDockerd, demo: SourceSettings, metrics: Exporter
) -> None:
    folder = tmp_path / "prometheus"
    folder.mkdir()
    image = import_busybox(lent_dockerd.client())
    with gate_prometheus(folder, metrics) as server:
        settings = fleet(tmp_path, docker=lent_dockerd.address, prometheus_url=server.url, demo=demo)
        with opened(settings, lent_dockerd, image) as place:
            trouble = Trouble(place, metrics, server)
            wait_until(lambda: place.decide().accepted, deadline=WARM, what="the gate is open", every=0.5)
            with pytest.raises(LaunchFailedError) as caught:
                trouble.launch("b1", meanwhile=lambda: stop(server.process))
            assert caught.value.code == "prometheus.unreachable"
            assert place.leftovers() == NOTHING


def test_a_name_that_somebody_takes_after_the_decision_is_left_to_him(trouble: Trouble) -> None:
    place = trouble.place

    def take() -> None:
        place.client.containers.create(place.image, ["sleep", "600"], name="b1")

    with pytest.raises(LaunchFailedError, match="has a container b1 already") as caught:
        trouble.launch("b1", meanwhile=take)
    assert caught.value.code == "name.taken"
    assert place.leftovers() == (["b1"], [], (), {})


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "small"
    folder.mkdir()
    with loop_disk(folder) as disk:
        yield disk


@pytest.mark.parametrize("folder_is_there", [False, True])
def test_a_full_disk_ends_in_one_line_and_leaves_nothing(
    tmp_path: Path,
    small_disk: Disk,
    lent_dockerd: OwnDockerd,
    monitoring: Server,
    demo: SourceSettings,
    *,
    folder_is_there: bool,
) -> None:
    image = import_busybox(lent_dockerd.client())
    settings = fleet(tmp_path, docker=lent_dockerd.address, prometheus_url=monitoring.url, demo=demo)
    settings = replace(settings, volumes=VolumeSettings(dir=small_disk.point / "volumes"))
    if folder_is_there:
        LoopVolumes(settings.volumes.dir).create("v", 16 * MIB)
        LoopVolumes(settings.volumes.dir).remove("v")
    fill(small_disk.point / "fills-it")
    with opened(settings, lent_dockerd, image) as place:
        wait_until(lambda: place.decide().accepted, deadline=WARM, what="the gate is open", every=0.5)
        with pytest.raises(LaunchFailedError) as caught:
            place.place("b1", "sleep", "600")
        assert str(caught.value).startswith("b1 was not launched: ")
        assert "\n" not in str(caught.value)
        assert place.leftovers() == NOTHING
    folder = settings.volumes.dir
    assert [path.name for path in folder.glob("*") if path.name != ".lock"] == []


def fill(path: Path) -> None:
    """Write until there is no room."""
    chunk = bytes(MIB)
    with path.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(chunk)
            except OSError:
                if len(chunk) == 1:
                    return
                chunk = chunk[: len(chunk) // 2]


class FreezesAt:
    """An engine whose daemon hangs from one call on."""

    def __init__(self, engine: Any, daemon: OwnDockerd, call: str) -> None:
        self._engine, self._daemon, self._call = engine, daemon, call
        self.armed = False

    def __getattr__(self, name: str) -> Any:
        if name == self._call and self.armed:
            freeze(self._daemon.process.pid)
        return getattr(self._engine, name)


@pytest.mark.parametrize(
    ("call", "state", "becomes"),
    [
        ("create", LaunchState.INTENT, "undone"),
        ("start", LaunchState.CREATED, None),
        ("inspect", LaunchState.CREATED, "finished"),
    ],
)
def test_a_daemon_that_hangs_in_a_launch_keeps_the_allocation_until_it_is_known(
    trouble: Trouble, lent_dockerd: OwnDockerd, call: str, state: LaunchState, becomes: str | None
) -> None:
    """Whether a call that hung was done shows only when the daemon goes on, and maybe after it was reconciled."""
    place = trouble.place
    engine = FreezesAt(DockerEngine(lent_dockerd.address, call_seconds=1.0), lent_dockerd, call)
    engines: Mapping[str, Any] = {HOST: engine}
    place.scheduler = replace(place.scheduler, engines=engines)

    def arm() -> None:
        engine.armed = True

    with pytest.raises(LaunchUnknownError) as caught:
        trouble.launch("b1", meanwhile=arm)
    assert "\n" not in str(caught.value)
    assert "doesn't answer" in str(caught.value)
    (record,) = place.scheduler.ledger.launches()
    assert record.state is state
    assert place.scheduler.ledger.held(record.request_id) == SMALL
    engine.armed = False
    lent_dockerd.thaw()
    later = replace(place.scheduler, clock=lambda: time.time() + SILENT_AFTER + 1.0)
    done = wait_until(lambda: mended(later), deadline=SOON, what="reconciled")
    if becomes is not None:
        assert [item.name for item in getattr(done, becomes)] == ["b1"]
    if done.finished:
        assert place.client.containers.get("b1").status == "running"
        place.scheduler.remover().remove("b1", with_volume=False, engine_lost=False)
    grace = iter(range(1, 1000))

    def nothing_left() -> bool:
        reconciler(replace(later, clock=lambda: time.time() + next(grace) * GRACE_SECONDS)).run()
        return place.leftovers() == NOTHING

    wait_until(nothing_left, deadline=SOON, what="what the daemon did late is gone")


def mended(scheduler: Scheduler) -> Any:
    done = reconciler(scheduler).run()
    return done if done.finished or done.undone else None


def test_a_container_that_nobody_measures_is_not_launched(trouble: Trouble) -> None:
    place = trouble.place
    place.scheduler = replace(place.scheduler, sampled=lambda _host, _name: False, sleep=lambda _seconds: None)
    with pytest.raises(LaunchFailedError, match=f"neither the agent of {HOST} nor Prometheus has a sample") as caught:
        trouble.launch("b1", meanwhile=lambda: None)
    assert caught.value.code == "sample.missing"
    assert place.leftovers() == NOTHING


def test_a_sample_is_asked_of_the_agent_and_of_prometheus(trouble: Trouble) -> None:
    settings, series = trouble.place.scheduler.fleet, 'container_last_seen{name="b1",image="x"}'
    (host,) = settings.hosts
    reached: HostSettings = replace(host, agent=f"http://127.0.0.1:{trouble.metrics.port}")
    by_agent, by_prometheus = sampled_by(replace(settings, hosts=(reached,))), sampled_by(settings)
    assert not by_agent(HOST, "b1")
    assert not by_prometheus(HOST, "b1")
    trouble.metrics.extra[series] = 1
    assert by_agent(HOST, "b1")
    assert not by_agent(HOST, "b")
    wait_until(lambda: by_prometheus(HOST, "b1"), deadline=SOON, what="Prometheus has scraped it", every=0.3)


def test_operations_and_processors_are_limited_when_the_container_is_made(trouble: Trouble) -> None:
    place = trouble.place
    (host,) = place.scheduler.fleet.hosts
    inventory = replace(host.inventory, read_iops=4000, write_iops=4000)
    settings = replace(place.scheduler.fleet, hosts=(replace(host, inventory=inventory),))
    trouble.metrics.extra |= {
        'node_disk_reads_completed_total{device="vda"}': 1,
        'node_disk_writes_completed_total{device="vda"}': 1,
    }
    place.scheduler = replace(place.scheduler, fleet=settings)
    amounts = {**SMALL, ResourceClass.READ_IOPS: 700, ResourceClass.WRITE_IOPS: 300}
    scheduler = place.job("sleep", "600")
    request = scheduler.request("b1", source="demo", job="backup", amounts=amounts)
    request = replace(request, wishes=replace(request.wishes, cpuset="0"))
    wait_until(lambda: scheduler.decide(request).accepted, deadline=SOON, what="operations are measured", every=0.3)
    launched = scheduler.place(request, decided=lambda _: None).launched
    assert launched is not None
    assert launched.limits is not None
    assert set(launched.limits.devices.values()) == {
        DeviceLimits(20_000_000, 10_000_000, 700, 300),
        DeviceLimits(20_000_000, None, 700, None),
    }
    assert launched.limits.processors == frozenset({0})
    if CGROUP_V1:
        (path,) = Path("/sys/fs/cgroup/blkio").glob(f"**/*{launched.container_id}*/blkio.throttle.write_iops_device")
        assert [line.split()[1] for line in path.read_text().splitlines()] == ["300"]
    (event,) = [item for item in scheduler.ledger.events_named("b1") if item.kind == "state.running"]
    assert json.loads(json.dumps(event.detail))["processors"] == [0]
