"""The database is lost, the containers run on: the ledger rebuilt from a real daemon and real sized volumes."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from orchestrator.decision.decide import decide
from orchestrator.decision.reasons import Code
from orchestrator.decision.request import Override
from orchestrator.decision.resources import HELD_WHILE_RUNNING, inventory_rows
from orchestrator.decision.snapshot import HostState
from orchestrator.ledger import LaunchState, NotEmptyError
from orchestrator.placement.allocation import decide_and_take
from orchestrator.placement.rebuild import rebuild_ledger
from orchestrator.placement.scheduler import Scheduler, open_scheduler
from orchestrator.settings import HostSettings, LedgerSettings, SourceSettings
from tests.support.dockerd import OwnDockerd
from tests.support.fleet import HOST, SMALL, fleet
from tests.support.ledger_load import well_fleet
from tests.support.place import Place, opened

AWAY = "db2"


@pytest.fixture
def here(tmp_path: Path, shared_dockerd: OwnDockerd, busybox: str, demo: SourceSettings) -> Iterator[Place]:
    settings = fleet(tmp_path, docker=shared_dockerd.address, prometheus_url="http://127.0.0.1:9", demo=demo)
    with opened(settings, shared_dockerd, busybox) as place:
        yield place


def launch(place: Place, name: str, *command: str) -> None:
    """Launch without asking Prometheus: what is decided is not what is tested."""
    scheduler = place.job(*command)
    wanted = replace(
        scheduler.request(name, source="demo", job="backup", amounts=SMALL),
        override=Override(codes=(Code.PROMETHEUS_UNREACHABLE,), who="ann", why="there is none"),
    )
    host = HostState(
        name=HOST,
        inventory=inventory_rows(scheduler.fleet.hosts[0].inventory),
        engine=scheduler.engines[HOST].probe(),
        telemetry=well_fleet().hosts[0].telemetry,
        generation=scheduler.ledger.view().generations.get(HOST, 0),
    )
    view = scheduler.ledger.view()
    asked = replace(well_fleet(), hosts=(host,), source_generations=view.source_generations)
    _, begun = decide_and_take(
        asked,
        decide=lambda snapshot: decide(snapshot, wanted),
        view=scheduler.ledger.view,
        take=partial(scheduler._intend, wanted),
    )
    assert begun is not None
    begun.run()


def test_what_runs_and_what_is_kept_comes_back_and_the_scheduler_goes_on(here: Place, ledger_url: str) -> None:
    launch(here, "b1", "sleep", "600")
    launch(here, "b2", "sh", "-c", "sleep 2; exit 7")
    launch(here, "b3", "sleep", "600")
    kept = here.scheduler.ledger.launches_named("b3")[0]
    here.client.containers.get("b3").remove(force=True)
    here.scheduler.ledger.advance(kept.request_id, LaunchState.REMOVED, at=1.0, release=HELD_WHILE_RUNNING)
    before = {record.request_id: record for record in here.scheduler.ledger.launches()}
    ended = here.scheduler.ledger.launches_named("b2")[0]
    here.scheduler.await_end(ended.request_id)
    held = here.scheduler.ledger.view().allocated

    with scheduler_of_new_ledger(here, ledger_url) as scheduler:
        rebuilt = rebuild_ledger(scheduler)
        assert rebuilt.unknown == {}
        after = {record.request_id: record for record in scheduler.ledger.launches()}
        assert after.keys() == before.keys()
        for request_id, record in after.items():
            old = before[request_id]
            assert (record.name, record.host, record.volume) == (old.name, old.host, old.volume)
            assert (record.source, record.job, record.spec_hash) == (old.source, old.job, old.spec_hash)
        view = scheduler.ledger.view()
        assert view.fingerprints == here.scheduler.ledger.view().fingerprints
        assert view.generations[HOST] >= 3
        states = {status.record.name: status.record.state for status in scheduler.statuses()}
        assert states == {"b1": LaunchState.RUNNING, "b2": LaunchState.FAILED, "b3": LaunchState.REMOVED}
        assert scheduler.ledger.view().allocated == held, "settled, it holds what the lost one held"
        with pytest.raises(NotEmptyError):
            rebuild_ledger(scheduler)
        for name in ("b1", "b2", "b3"):
            scheduler.remover().remove(name, with_volume=True, engine_lost=False)
        assert scheduler.ledger.view().allocated == {}
    assert here.leftovers()[0] == []
    assert here.leftovers()[2] == ()


def test_a_dry_run_writes_nothing(here: Place, ledger_url: str) -> None:
    launch(here, "b1", "sleep", "600")
    with scheduler_of_new_ledger(here, ledger_url) as scheduler:
        rebuilt = rebuild_ledger(scheduler, dry_run=True)
        assert [record.name for record in rebuilt.restored.launches] == ["b1"]
        assert scheduler.ledger.launches() == ()


def test_a_host_that_does_not_answer_is_cordoned_and_can_be_rebuilt_later(here: Place, ledger_url: str) -> None:
    launch(here, "b1", "sleep", "600")
    gone = replace(here.scheduler.fleet.hosts[0], name=AWAY, docker="tcp://127.0.0.1:9")
    with scheduler_of_new_ledger(here, ledger_url, gone) as scheduler:
        rebuilt = rebuild_ledger(scheduler)
        assert "doesn't answer" in rebuilt.unknown[AWAY][0]
        (cordon,) = scheduler.ledger.view().cordons
        assert cordon.host == AWAY
        assert scheduler.ledger.view().names == {"b1": HOST}
        rebuild_ledger(scheduler, hosts=(AWAY,))


def scheduler_of_new_ledger(here: Place, url: str, *more: HostSettings) -> AbstractContextManager[Scheduler]:
    settings = here.scheduler.fleet
    lost = replace(settings, ledger=LedgerSettings(url=url), hosts=(*settings.hosts, *more))
    return open_scheduler(lost, HOST)
