"""Schedules on a real engine: a run is placed once, a refused one waits, a missed one is seen."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from alerts.thresholds import GATE_FOR
from collector.schedule_metrics import MAX_AGE, MISSED, NEXT, SINCE
from orchestrator.backup.due import place_due
from orchestrator.backup.runner.record import Kind, State
from orchestrator.backup.schedules import FIRST_RETRY, run_id, verification_id
from orchestrator.backup.settings import ScheduleSettings
from orchestrator.decision.snapshot import Cordon
from orchestrator.engines.engine import Engine, EngineUnreachableError
from orchestrator.ledger import LaunchState
from orchestrator.placement.scheduler import Scheduler
from orchestrator.reconcile import reconciler
from orchestrator.serve.periodic import new_findings, schedules
from orchestrator.settings import SourceSettings
from tests.support.backups import HOUR, record
from tests.support.dockerd import OwnDockerd
from tests.support.fleet import HOST, fleet
from tests.support.place import Place, opened, own_jobs
from tests.support.servers import Server
from tests.support.wait import wait_until

WARM = GATE_FOR + 30.0
SIZE: dict[str, str | float] = {
    "cpus": 0.3,
    "memory": "64MiB",
    "disk": "16MiB",
    "read_bps": "20MB",
    "write_bps": "10MB",
}
HOURLY = ScheduleSettings(name="hourly", source="demo", cron="0 * * * *", start_within=1800.0, size=SIZE)


@pytest.fixture
def here(
    tmp_path: Path, shared_dockerd: OwnDockerd, busybox: str, monitoring: Server, demo: SourceSettings
) -> Iterator[Place]:
    settings = fleet(tmp_path, docker=shared_dockerd.address, prometheus_url=monitoring.url, demo=demo)
    with opened(settings, shared_dockerd, busybox) as place:
        wait_until(lambda: place.decide().accepted, deadline=WARM, what="the gate is open", every=0.5)
        yield place


def job(volume: str, kind: Kind, **changes: object) -> tuple[str, ...]:
    """A job that leaves its record in its volume and says it."""
    said = record(volume, kind, at=time.time(), **changes).to_json()
    folder = f"/backup/{volume}"
    return ("sh", "-c", f"mkdir {folder} && echo {json.dumps(said)} >{folder}/record.json && cat {folder}/record.json")


def scheduler_at(here: Place, at: float, *schedules: ScheduleSettings) -> Scheduler:
    """A scheduler that has just been started, when the clock says so; jobs end well at once."""

    def command(volume: str) -> tuple[str, ...]:
        if "-v-" not in volume:
            return job(volume, Kind.FULL)
        (verified,) = [item.id for item in here.scheduler.ledger.backups.all() if item.kind is Kind.FULL]
        return job(volume, Kind.VERIFY, parent=verified)

    return replace(
        here.scheduler,
        fleet=replace(here.scheduler.fleet, schedules=schedules or (HOURLY,)),
        jobs=own_jobs(here.image, command),
        clock=lambda: at,
    )


def begun(here: Place) -> float:
    """A full hour, at which the schedule is seen for the first time."""
    hour = time.time() // HOUR * HOUR
    place_due(scheduler_at(here, hour))
    return hour


def ended(here: Place, request_id: str) -> LaunchState:
    here.scheduler.await_end(request_id)
    found = here.scheduler.ledger.launch(request_id)
    assert found is not None
    return found.state


def test_a_run_is_placed_when_it_is_due_and_once_whatever_restarts(here: Place) -> None:
    hour = begun(here)
    assert here.scheduler.ledger.launches() == (), "what was due before it was first seen is not made up for"
    due = hour + HOUR
    for later in (0, 1, 60):
        place_due(scheduler_at(here, due + later))
    (launch,) = here.scheduler.ledger.launches()
    assert launch.request_id == run_id("hourly", due)
    assert ended(here, launch.request_id) is LaunchState.DONE
    (progress,) = here.scheduler.ledger.schedules.all()
    assert (progress.missed, progress.last_placed, progress.trying, progress.hindrance) == (0, due, None, None)
    (backup,) = here.scheduler.ledger.backups.all()
    assert (backup.state, backup.request_id) == (State.DONE, launch.request_id)

    place_due(scheduler_at(here, due + 120))
    assert here.client.containers.list(all=True) == [], "a container that is done goes"
    assert here.scheduler.volumes.list() == (launch.volume,), "its backup stays"


def test_who_is_killed_after_the_launch_settles_it_later_and_launches_nothing_more(here: Place) -> None:
    hour = begun(here)
    scheduler = scheduler_at(here, hour + HOUR)

    class KilledError(Exception):
        """What a signal does."""

    def killed(*_: object, **__: object) -> None:
        raise KilledError

    scheduler.ledger.schedules.placed = killed  # type: ignore[method-assign]
    with pytest.raises(KilledError):
        place_due(scheduler)
    del scheduler.ledger.schedules.placed
    place_due(scheduler_at(here, hour + HOUR + 30))
    assert len(here.client.containers.list(all=True)) <= 1
    decisions = [
        event for event in here.scheduler.ledger.events(run_id("hourly", hour + HOUR)) if event.kind == "intent"
    ]
    assert len(decisions) == 1
    (progress,) = here.scheduler.ledger.schedules.all()
    assert (progress.missed, progress.last_placed) == (0, hour + HOUR)


def test_a_run_that_no_host_takes_waits_and_is_missed_in_the_end(here: Place) -> None:
    hour = begun(here)
    due = hour + HOUR
    cordon = Cordon(host=HOST, who="ann", why="new disk", until=None, since=hour)
    here.scheduler.ledger.cordon(cordon, hosts=[HOST])
    place_due(scheduler_at(here, due))
    place_due(scheduler_at(here, due + FIRST_RETRY - 1))
    assert here.scheduler.ledger.schedules.all()[0].tries == 1, "it isn't asked again and again"
    place_due(scheduler_at(here, due + 60))
    (progress,) = here.scheduler.ledger.schedules.all()
    assert (progress.trying, progress.tries, progress.retry_at) == (due, 2, due + 60 + 2 * FIRST_RETRY)
    assert progress.hindrance is not None
    assert "cordoned by ann" in progress.hindrance.why
    assert [code for code, _ in progress.hindrance.against[HOST]] == ["host.cordoned"]
    assert progress.settled_until == hour
    assert here.scheduler.ledger.events(run_id("hourly", due)) == (), "waiting doesn't fill the record"

    patient = replace(HOURLY, start_within=600.0)
    place_due(scheduler_at(here, due + 601, patient))
    (progress,) = here.scheduler.ledger.schedules.all()
    assert (progress.missed, progress.settled_until, progress.trying) == (1, due, None)
    assert progress.last_miss is not None
    assert (progress.last_miss.due, progress.last_miss.runs, progress.last_miss.tries) == (due, 1, 2)
    assert "cordoned by ann" in progress.last_miss.hindrance.why
    (event,) = [event for event in here.scheduler.ledger.events_named("hourly") if event.kind == "schedule.missed"]
    assert "cordoned by ann" in event.detail["hosts"][HOST][0]

    here.scheduler.ledger.uncordon(HOST, who="ann", at=due)
    place_due(scheduler_at(here, due + HOUR, patient))
    assert [launch.request_id for launch in here.scheduler.ledger.launches()] == [run_id("hourly", due + HOUR)]


def failing(here: Place, at: float) -> Scheduler:
    """As `scheduler_at`, but the container ends at once."""
    jobs = own_jobs(here.image, lambda _: ("sh", "-c", "echo boom >&2; exit 3"))
    return replace(scheduler_at(here, at), jobs=jobs)


def test_a_launch_that_fails_is_tried_again_under_another_request(here: Place) -> None:
    due = begun(here) + HOUR
    place_due(failing(here, due))
    (progress,) = here.scheduler.ledger.schedules.all()
    assert (progress.missed, progress.trying, progress.tries) == (0, due, 1)
    assert progress.hindrance is not None
    assert "boom" in progress.hindrance.why
    assert list(progress.hindrance.against) == [HOST]
    place_due(failing(here, due + FIRST_RETRY - 1))
    assert here.scheduler.ledger.launch(run_id("hourly", due, 1)) is None, "not before its time"

    place_due(scheduler_at(here, due + FIRST_RETRY))
    assert ended(here, run_id("hourly", due, 1)) is LaunchState.DONE
    (progress,) = here.scheduler.ledger.schedules.all()
    assert (progress.missed, progress.last_placed, progress.trying) == (0, due, None)
    (backup,) = here.scheduler.ledger.backups.all()
    assert here.scheduler.volumes.list() == (backup.volume,), "nothing is left of the first one"


def test_launches_that_fail_until_the_end_are_a_missed_run(here: Place) -> None:
    due = begun(here) + HOUR
    for later in (0, 60, 600):
        place_due(failing(here, due + later))
    place_due(failing(here, due + HOURLY.start_within + 1))
    (progress,) = here.scheduler.ledger.schedules.all()
    assert (progress.missed, progress.trying, progress.tries) == (1, None, 0)
    assert progress.last_miss is not None
    assert progress.last_miss.tries == 3
    assert "boom" in progress.last_miss.hindrance.why
    (event,) = [event for event in here.scheduler.ledger.events_named("hourly") if event.kind == "schedule.missed"]
    assert "boom" in event.detail["hosts"][HOST][0]
    assert here.leftovers() == ([], [], (), {})


def hung(here: Place, due: float, *, starts: bool) -> Scheduler:
    """A scheduler whose launch stops halfway: the engine doesn't answer any more when it is to start the container."""

    class Hung:
        def __init__(self, engine: Engine) -> None:
            self._engine = engine

        def start(self, container_id: str) -> None:
            if starts:
                self._engine.start(container_id)
            raise EngineUnreachableError("unix:///hung.sock", "no answer in time")

        def __getattr__(self, name: str) -> Any:
            return getattr(self._engine, name)

    scheduler = scheduler_at(here, due)
    return replace(scheduler, engines={HOST: cast("Engine", Hung(scheduler.engines[HOST]))})


def test_while_nobody_knows_what_became_of_a_launch_its_run_is_neither_placed_again_nor_missed(here: Place) -> None:
    due = begun(here) + HOUR
    place_due(hung(here, due, starts=True))
    for later in (60, HOURLY.start_within + 60):
        place_due(scheduler_at(here, due + later))
        (progress,) = here.scheduler.ledger.schedules.all()
        assert (progress.missed, progress.trying, progress.retry_at) == (0, due, None)
        assert progress.hindrance is not None
        assert "stopped at step start" in progress.hindrance.why
    assert len(here.client.containers.list(all=True)) == 1

    found = scheduler_at(here, due + HOURLY.start_within + 120)
    assert reconciler(found).run().finished
    place_due(found)
    (progress,) = here.scheduler.ledger.schedules.all()
    assert (progress.missed, progress.last_placed, progress.trying) == (0, due, None)
    assert here.scheduler.ledger.launch(run_id("hourly", due, 1)) is None


def test_when_it_is_known_that_a_launch_is_undone_its_run_is_placed_again(here: Place) -> None:
    due = begun(here) + HOUR
    place_due(hung(here, due, starts=False))
    found = scheduler_at(here, due + 600)
    assert reconciler(found).run().undone
    place_due(found)
    assert ended(here, run_id("hourly", due, 1)) is LaunchState.DONE
    (progress,) = here.scheduler.ledger.schedules.all()
    assert (progress.missed, progress.last_placed) == (0, due)


def test_a_launch_whose_fate_is_unknown_holds_up_its_own_run_alone(here: Place) -> None:
    due = begun(here) + HOUR
    place_due(hung(here, due, starts=False))
    place_due(scheduler_at(here, due + HOUR))
    (progress,) = here.scheduler.ledger.schedules.all()
    assert (progress.missed, progress.last_placed) == (1, due + HOUR)
    assert progress.last_miss is not None
    assert "stopped at step start" in progress.last_miss.hindrance.why


def test_schedules_that_are_due_together_are_all_placed(here: Place) -> None:
    three = tuple(replace(HOURLY, name=f"hourly-{number}") for number in range(3))
    hour = time.time() // HOUR * HOUR
    place_due(scheduler_at(here, hour, *three))
    place_due(scheduler_at(here, hour + HOUR, *three))
    for schedule in three:
        assert ended(here, run_id(schedule.name, hour + HOUR)) is LaunchState.DONE
    assert {progress.last_placed for progress in here.scheduler.ledger.schedules.all()} == {hour + HOUR}


def test_a_schedule_says_where(here: Place) -> None:
    elsewhere = replace(HOURLY, zone="north")
    hour = time.time() // HOUR * HOUR
    for at in (hour, hour + HOUR):
        place_due(scheduler_at(here, at, elsewhere))
    (progress,) = here.scheduler.ledger.schedules.all()
    assert progress.hindrance is not None
    assert [code for code, _ in progress.hindrance.against[HOST]] == ["host.zone"]
    there = replace(HOURLY, host=HOST)
    place_due(scheduler_at(here, hour + HOUR + FIRST_RETRY, there))
    assert here.scheduler.ledger.launch(run_id("hourly", hour + HOUR)) is not None


def test_each_new_backup_is_verified_once(here: Place) -> None:
    checked = replace(HOURLY, verify=8 * 24 * HOUR)
    hour = begun(here)
    place_due(scheduler_at(here, hour + HOUR, checked))
    run = run_id("hourly", hour + HOUR)
    assert ended(here, run) is LaunchState.DONE
    (backup,) = here.scheduler.ledger.backups.all()
    place_due(scheduler_at(here, hour + HOUR + 60, checked))
    assert ended(here, verification_id(backup.id)) is LaunchState.DONE
    found = here.scheduler.ledger.backups.get(backup.id)
    assert found.state is State.VERIFIED
    for later in (120, 180):
        place_due(scheduler_at(here, hour + HOUR + later, checked))
    kinds = [item.kind for item in here.scheduler.ledger.backups.all()]
    assert sorted(kinds) == [Kind.FULL, Kind.VERIFY]
    assert here.scheduler.volumes.list() == (backup.volume,), "the verification's own volume goes"


def test_serve_places_what_is_due_and_tells_what_is_promised(here: Place) -> None:
    hour = begun(here)
    promised = replace(HOURLY, fresh=2 * HOUR)
    findings = new_findings(10.0)
    schedules(findings)(scheduler_at(here, hour + HOUR, promised))
    assert here.scheduler.ledger.launch(run_id("hourly", hour + HOUR)) is not None
    told = {metric: value for metric, labels, value in findings.told() if labels == ("demo", "backup")}
    assert told == {MAX_AGE: 2 * HOUR, SINCE: hour, NEXT: hour + 2 * HOUR, MISSED: 0}
