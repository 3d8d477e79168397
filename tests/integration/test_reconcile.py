"""Reconcile and audit against a real daemon: what is mended, what is told, and what is never touched."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alerts.thresholds import GATE_FOR
from collector import labels
from orchestrator.backup.runner.record import RECORD_NAME
from orchestrator.decision.resources import HELD_WHILE_RUNNING, ResourceClass
from orchestrator.host.volumes import SizedVolume
from orchestrator.launch import LaunchFailedError, LaunchUnknownError
from orchestrator.ledger import LaunchRecord, LaunchState, TakenOverError
from orchestrator.placement.scheduler import Scheduler
from orchestrator.reconcile import GRACE_SECONDS, SILENT_AFTER, Reconciliation, auditor, reconciler
from orchestrator.settings import SourceSettings
from tests.support.dockerd import OwnDockerd, import_busybox
from tests.support.fleet import HOST, MIB, SMALL, fleet
from tests.support.place import NOTHING, Place, good_record, opened
from tests.support.servers import Server
from tests.support.wait import wait_until

WARM = GATE_FOR + 30.0
SILENT = SILENT_AFTER + 1.0
PAST = SILENT + GRACE_SECONDS


@pytest.fixture
def here(
    tmp_path: Path, lent_dockerd: OwnDockerd, busybox: str, monitoring: Server, demo: SourceSettings
) -> Iterator[Place]:
    settings = fleet(tmp_path, docker=lent_dockerd.address, prometheus_url=monitoring.url, demo=demo)
    with opened(settings, lent_dockerd, busybox) as place:
        wait_until(lambda: place.decide().accepted, deadline=WARM, what="the gate is open", every=0.5)
        yield place


def later(place: Place, seconds: float) -> Scheduler:
    return replace(place.scheduler, clock=lambda: time.time() + seconds)


def reconcile(place: Place, seconds: float = 0.0) -> Reconciliation:
    return reconciler(later(place, seconds)).run()


class DeathError(Exception):
    """A process that ends without a word: no undo, nothing written."""


class DiesAt:
    """An engine with which the scheduler's process ends at one call."""

    def __init__(self, engine: Any, call: str) -> None:
        self._engine, self._call = engine, call

    def __getattr__(self, name: str) -> Any:
        if name == self._call:
            raise DeathError(name)
        return getattr(self._engine, name)


def half_done(place: Place, name: str, call: str, *command: str) -> LaunchRecord:
    """A launch whose process died at a call to the engine."""
    engine: Any = DiesAt(place.scheduler.engines[HOST], call)
    dying = replace(place.job(*(command or ("sleep", "600"))), engines={HOST: engine})
    request = dying.request(name, source="demo", job="backup", amounts=SMALL)
    with pytest.raises(DeathError):
        dying.place(request, decided=lambda _: None)
    return place.scheduler.ledger.launches_named(name)[-1]


def test_a_launch_that_never_started_is_undone_after_its_owner_was_silent(here: Place) -> None:
    record = half_done(here, "b1", "start")
    assert (record.state, record.step) == (LaunchState.CREATED, "start")
    early = reconcile(here, SILENT - 10.0)
    assert (early.undone, early.leaks) == ((), ())
    done = reconcile(here, SILENT)
    assert [item.request_id for item in done.undone] == [record.request_id]
    assert here.leftovers() == NOTHING


def test_a_launch_that_was_started_is_finished_and_runs_on(here: Place) -> None:
    record = half_done(here, "b2", "inspect", "sleep", "600")
    assert (record.state, record.step) == (LaunchState.CREATED, "verify")
    done = reconcile(here, SILENT)
    assert [item.name for item in done.finished] == ["b2"]
    now = here.scheduler.ledger.launch(record.request_id)
    assert now is not None
    assert (now.state, now.step, now.turn) == (LaunchState.RUNNING, None, 1)
    assert here.client.containers.get("b2").status == "running"
    assert here.scheduler.ledger.held(record.request_id) == SMALL


def test_a_launch_whose_job_has_ended_meanwhile_is_settled(here: Place) -> None:
    half_done(here, "b1", "inspect", "true")
    wait_until(lambda: here.client.containers.get("b1").status == "exited", deadline=20.0, what="the job ended")
    done = reconcile(here, SILENT)
    assert [(item.name, item.state) for item in done.settled] == [("b1", LaunchState.DONE)]
    (record,) = here.scheduler.ledger.launches()
    assert here.scheduler.ledger.held(record.request_id) == {ResourceClass.DISK: SMALL[ResourceClass.DISK]}


def test_an_owner_who_wakes_up_after_he_was_taken_over_takes_back_what_he_makes(here: Place) -> None:
    sleeping = reconciler(later(here, SILENT))

    class Slow:
        """An engine whose call takes so long that the launch is undone meanwhile."""

        def __getattr__(self, name: str) -> Any:
            if name == "create":
                sleeping.run()
            return getattr(here.scheduler.engines[HOST], name)

    engine: Any = Slow()
    slow = replace(here.job("sleep", "600"), engines={HOST: engine})
    request = slow.request("b1", source="demo", job="backup", amounts=SMALL)
    with pytest.raises(LaunchFailedError, match="b1 was not launched"):
        slow.place(request, decided=lambda _: None)
    assert here.leftovers() == NOTHING


def test_what_a_removed_launch_left_goes_when_it_was_seen_twice_past_its_grace(here: Place) -> None:
    here.place("b1", "sleep", "600")
    (record,) = here.scheduler.ledger.launches()
    here.scheduler.ledger.advance(
        record.request_id, LaunchState.REMOVED, at=time.time(), release=frozenset(ResourceClass), volume=None
    )
    first = reconcile(here, 0.0)
    assert sorted(item.leak.code for item in first.leaks) == ["container.orphan", "volume.orphan"]
    assert reconcile(here, GRACE_SECONDS - 30.0).removed == ()
    last = reconcile(here, GRACE_SECONDS + 30.0)
    assert sorted(leak.kind for leak in last.removed) == ["container", "volume"]
    assert here.leftovers() == NOTHING
    assert reconcile(here, GRACE_SECONDS + 40.0) == Reconciliation()


def test_a_good_backup_is_never_deleted_even_if_no_launch_accounts_for_it(here: Place) -> None:
    placement = here.place("b1", "true")
    record = here.scheduler.await_end(placement.decision.request_id)
    volume = here.scheduler.volumes.get(record.volume or "")
    assert isinstance(volume, SizedVolume)
    (volume.mountpoint / volume.name).mkdir()
    (volume.mountpoint / volume.name / RECORD_NAME).write_text(good_record(volume.name))
    everything = frozenset(ResourceClass)
    here.scheduler.ledger.advance(record.request_id, LaunchState.REMOVED, at=1.0, release=everything, volume=None)
    reconcile(here)
    done = reconcile(here, PAST)
    assert [item.leak.code for item in done.leaks] == ["volume.holds_backup"]
    assert here.leftovers()[2] == (volume.name,)


def test_what_is_not_of_this_ledger_is_told_and_never_touched(here: Place) -> None:
    here.place("b0", "sleep", "600")
    theirs = {labels.MANAGED: "true", labels.REQUEST_ID: "f" * 32}
    here.client.containers.run(here.image, ["sleep", "600"], name="theirs", labels=theirs, detach=True)
    here.client.containers.run(here.image, ["sleep", "600"], name="foreign", detach=True)
    here.scheduler.volumes.create("theirs", 16 * MIB, theirs)
    for seconds in (0.0, PAST, 2 * PAST):
        done = reconcile(here, seconds)
        assert sorted(item.leak.code for item in done.leaks) == ["container.unknown", "volume.unknown"]
    assert sorted(here.leftovers()[0]) == ["b0", "foreign", "theirs"]
    assert "theirs" in here.leftovers()[2]


def test_a_removal_that_died_is_finished(here: Place) -> None:
    here.place("b1", "sleep", "600")
    engine: Any = DiesAt(here.scheduler.engines[HOST], "remove")
    dying = replace(here.scheduler, engines={HOST: engine}).remover()
    with pytest.raises(DeathError):
        dying.remove("b1", with_volume=False, engine_lost=False)
    assert here.client.containers.get("b1").status == "running"
    assert [item.name for item in reconcile(here, SILENT).removals] == ["b1"]
    assert here.leftovers() == NOTHING


def test_a_removal_during_a_launch_wins_and_nothing_is_left(here: Place) -> None:
    remover = here.scheduler.remover()

    class Removed:
        def __getattr__(self, name: str) -> Any:
            if name == "start":
                remover.remove("b1", with_volume=False, engine_lost=False)
            return getattr(here.scheduler.engines[HOST], name)

    engine: Any = Removed()
    slow = replace(here.job("sleep", "600"), engines={HOST: engine})
    request = slow.request("b1", source="demo", job="backup", amounts=SMALL)
    with pytest.raises(LaunchFailedError, match="b1 was not launched"):
        slow.place(request, decided=lambda _: None)
    reconcile(here, SILENT)
    assert here.leftovers() == NOTHING


def test_a_hung_engine_keeps_what_it_holds_and_is_told(here: Place, lent_dockerd: OwnDockerd) -> None:
    record = half_done(here, "b1", "start")
    lent_dockerd.freeze()
    try:
        done = reconcile(here, SILENT)
        (row,) = auditor(later(here, SILENT)).run()
    finally:
        lent_dockerd.thaw()
    assert list(done.unvisited) == [HOST]
    assert row.unknown
    assert here.scheduler.ledger.held(record.request_id) == SMALL
    assert [item.name for item in reconcile(here, 2 * SILENT).undone] == ["b1"]


def test_another_engine_in_the_place_of_the_known_one_is_left_alone(here: Place, own_dockerd: OwnDockerd) -> None:
    record = half_done(here, "b1", "start")
    with opened(
        replace(
            here.scheduler.fleet,
            hosts=(replace(here.scheduler.fleet.hosts[0], docker=own_dockerd.address),),
        ),
        own_dockerd,
        import_busybox(own_dockerd.client()),
    ) as other:
        done = reconcile(other, SILENT)
        (row,) = auditor(other.scheduler).run()
    assert "another engine" in done.unvisited[HOST]
    assert "another engine" in (row.unknown or "")
    assert here.scheduler.ledger.held(record.request_id) == SMALL


def test_two_reconciles_at_once_mend_once(here: Place) -> None:
    record = half_done(here, "b1", "start")
    ledger = here.scheduler.ledger
    ledger.take_over(record, "reconcile", at=time.time() + SILENT)
    with pytest.raises(TakenOverError):
        ledger.take_over(record, "reconcile", at=time.time() + SILENT)
    assert reconcile(here, SILENT) == Reconciliation(), "the other one is at it"


def test_commands_tell_leaks_with_their_age_and_exit_with_1(here: Place, tmp_path: Path, monitoring: Server) -> None:
    here.place("b1", "sleep", "600")
    (record,) = here.scheduler.ledger.launches()
    config = tmp_path / "vdbmon.toml"
    config.write_text(
        f'[host]\nname = "{HOST}"\n[prometheus]\nurl = "{monitoring.url}"\n'
        f'[ledger]\nurl = "{here.scheduler.fleet.ledger.url}"\n[volumes]\ndir = "{here.scheduler.fleet.volumes.dir}"\n'
        f'[[hosts]]\nname = "{HOST}"\ndocker = "{here.scheduler.fleet.hosts[0].docker}"\n'
        'inventory = { cpus = 2, memory = "8GiB", disk = "20GiB", read_bps = "200MB", write_bps = "200MB" }\n'
    )
    clean = vdbmon("audit", "--config", str(config))
    assert (clean.returncode, clean.stderr) == (0, "")
    assert "1 containers, 1 volumes: no leak" in " ".join(clean.stdout.split())
    assert vdbmon("reconcile", "--config", str(config)).stdout == "nothing to do\n"

    here.scheduler.ledger.advance(record.request_id, LaunchState.REMOVED, at=time.time(), release=HELD_WHILE_RUNNING)
    told = vdbmon("audit", "--json", "--config", str(config))
    assert told.returncode == 1
    (row,) = json.loads(told.stdout)
    (aged,) = row["leaks"]
    assert (aged["leak"]["kind"], aged["leak"]["code"]) == ("container", "container.orphan")
    assert aged["age"] >= 0
    done = vdbmon("reconcile", "--config", str(config))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"leak: container b1 on {HOST}, for ")
    assert max(len(line) for line in vdbmon("audit", "--config", str(config)).stdout.splitlines()) <= 80


def vdbmon(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("vdbmon")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_a_step_that_cannot_be_undone_is_tried_again(here: Place) -> None:
    class Held:
        """Volumes that somebody looks into for a while."""

        held = True

        def __getattr__(self, name: str) -> Any:
            if name == "remove" and self.held:
                raise LaunchUnknownError("volume.busy", "volume is in use")
            return getattr(here.scheduler.volumes, name)

    half_done(here, "b1", "start")
    volumes: Any = Held()
    busy = reconciler(replace(later(here, SILENT), volumes=volumes)).run()
    assert busy.undone == ()
    assert busy.errors == ((HOST, "b1: volume is in use"),)
    assert [item.name for item in reconcile(here, 3 * SILENT).undone] == ["b1"]
    assert here.leftovers() == NOTHING
