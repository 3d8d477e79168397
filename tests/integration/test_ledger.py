import stat
from dataclasses import replace
from pathlib import Path

import pytest

from collector.errors import ConfigError
from orchestrator.decision.resources import HELD_WHILE_RUNNING, ResourceClass
from orchestrator.ledger import (
    ConcurrentUpdateError,
    Generations,
    LaunchState,
    Ledger,
    LedgerError,
    NameTakenError,
    database,
    open_ledger,
)
from orchestrator.ledger.database import open_database
from orchestrator.ledger.view import read_view
from tests.support.ledger import NEEDED, allocate, record


def test_an_allocation_is_seen_with_its_name_and_a_new_generation(ledger: Ledger) -> None:
    allocate(ledger, record())
    view = ledger.view()
    assert view.generations == {"db1": 1}
    assert view.fingerprints == {"db1": "engine"}
    assert view.allocated == {"db1": NEEDED}
    assert view.names == {"b1": "db1"}
    assert ledger.launches() == (record(),)
    assert [event.kind for event in ledger.events("r1")] == ["decision", "intent"]
    assert ledger.events("r1")[0].detail == {"why": "only host"}


def test_an_older_generation_is_refused_and_leaves_nothing(ledger: Ledger) -> None:
    allocate(ledger, record())
    with pytest.raises(ConcurrentUpdateError) as caught:
        allocate(ledger, record("b2", "r2"), expected=Generations(host=0, source=1))
    assert caught.value.code == "ledger.concurrent_update"
    assert ledger.view().generations == {"db1": 1}
    assert ledger.events("r2") == ()


def test_a_source_and_a_pool_that_moved_are_refused_too(ledger: Ledger) -> None:
    allocate(ledger, record(), expected=Generations(host=0, source=0, pools={"dr": 0}))
    assert ledger.view().source_generations == {"demo": 1}
    assert ledger.view().pool_generations == {"dr": 1}
    with pytest.raises(ConcurrentUpdateError, match="source demo"):
        allocate(ledger, record("b2", "r2", host="db2"), expected=Generations(host=0, source=0))
    with pytest.raises(ConcurrentUpdateError, match="pool dr"):
        allocate(ledger, record("b2", "r2", host="db2"), expected=Generations(host=0, source=1, pools={"dr": 0}))
    assert ledger.view().generations == {"db1": 1}


def test_a_source_is_read_by_no_more_jobs_than_it_allows_on_all_hosts_together(ledger: Ledger) -> None:
    allocate(ledger, record(), max_readers=2)
    allocate(ledger, record("b2", "r2", host="db2"), max_readers=2)
    with pytest.raises(ConcurrentUpdateError, match="2 jobs read it, 2 may"):
        allocate(ledger, record("b3", "r3", host="db3"), max_readers=2)
    allocate(ledger, record("b3", "r3", host="db3", source="other"), max_readers=1)
    assert ledger.view().readers == {"demo": 2, "other": 1}
    before = ledger.view().source_generations["demo"]
    ledger.advance("r1", LaunchState.DONE, at=2.0, release=HELD_WHILE_RUNNING)
    assert ledger.view().source_generations["demo"] == before + 1
    allocate(ledger, record("b4", "r4", host="db3"), max_readers=2)


def test_the_jobs_of_a_host_come_with_what_they_hold_and_when(ledger: Ledger) -> None:
    allocate(ledger, replace(record(), window_start=10.0, window_end=20.0))
    allocate(ledger, record("b2", "r2"))
    ledger.advance("r2", LaunchState.FAILED, at=2.0, release=HELD_WHILE_RUNNING)
    (job,) = ledger.view().jobs["db1"]
    assert (job.request_id, job.name, job.source, job.job) == ("r1", "b1", "demo", "backup")
    assert (job.amounts, job.window) == (NEEDED, (10.0, 20.0))


def test_a_removed_launch_does_not_come_back(ledger: Ledger) -> None:
    allocate(ledger, record())
    ledger.advance("r1", LaunchState.REMOVED, at=2.0, release=frozenset(ResourceClass))
    with pytest.raises(LedgerError) as caught:
        ledger.advance("r1", LaunchState.RUNNING, at=3.0)
    assert caught.value.code == "launch.removed"
    assert ledger.view().names == {}


def test_what_does_not_fit_is_refused_whatever_was_decided(ledger: Ledger) -> None:
    allocate(ledger, record())
    allocate(ledger, record("b2", "r2"))
    with pytest.raises(ConcurrentUpdateError):
        allocate(ledger, record("b3", "r3"))
    assert ledger.view().allocated["db1"] == {ResourceClass.SLOTS: 2, ResourceClass.DISK: 80}


def test_reserved_amounts_are_not_sold(ledger: Ledger) -> None:
    with pytest.raises(ConcurrentUpdateError):
        allocate(ledger, record(), amounts={ResourceClass.DISK: 101})


def test_a_live_name_is_taken_and_a_removed_one_is_free(ledger: Ledger) -> None:
    allocate(ledger, record())
    with pytest.raises(NameTakenError) as caught:
        allocate(ledger, record(request_id="r2"))
    assert caught.value.code == "name.taken"
    ledger.advance("r1", LaunchState.REMOVED, at=2.0)
    allocate(ledger, record(request_id="r2"))
    assert [launch.request_id for launch in ledger.launches_named("b1")] == ["r1", "r2"]


def test_release_gives_back_only_what_is_named_and_only_once(ledger: Ledger) -> None:
    allocate(ledger, record())
    for at in (2.0, 3.0):
        ledger.advance("r1", LaunchState.DONE, at=at, release=HELD_WHILE_RUNNING)
    assert ledger.held("r1") == {ResourceClass.DISK: 40}
    assert ledger.view().generations == {"db1": 2}
    assert [event.kind for event in ledger.events("r1")] == [
        "decision",
        "intent",
        "state.done",
        "released",
        "state.done",
    ]


def test_a_removed_launch_is_listed_as_long_as_its_volume_stays(ledger: Ledger) -> None:
    allocate(ledger, record())
    ledger.advance("r1", LaunchState.REMOVED, at=2.0, volume="b1-r1")
    assert ledger.launches() == (replace(record(), state=LaunchState.REMOVED, volume="b1-r1", updated_at=2.0),)
    ledger.advance("r1", LaunchState.REMOVED, at=3.0, volume=None)
    assert ledger.launches() == ()


def test_the_engine_is_bound_only_while_something_lives_on_it(ledger: Ledger) -> None:
    allocate(ledger, record())
    ledger.advance("r1", LaunchState.REMOVED, at=2.0)
    assert ledger.view().fingerprints == {}


def test_a_view_is_of_one_moment(ledger_url: str) -> None:
    ledger, other = open_ledger(ledger_url), open_database(ledger_url)
    allocate(ledger, record())
    with other.reading() as connection:
        before = read_view(connection)
        allocate(ledger, record("b2", "r2"))
        assert read_view(connection) == before
    with other.reading() as connection:
        assert sorted(read_view(connection).names) == ["b1", "b2"]
    other.close()
    ledger.close()


def test_a_writer_holds_sqlite_before_it_has_read_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    first = open_database(url)
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0)
    second = open_ledger(url)
    with first.writing(), pytest.raises(LedgerError, match="locked"):
        allocate(second, record())
    allocate(second, record())
    first.close()
    second.close()


def test_the_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    open_ledger(f"sqlite:///{tmp_path}/state/ledger.db").close()
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_opening_again_keeps_what_is_there(ledger: Ledger, ledger_url: str) -> None:
    allocate(ledger, record())
    again = open_ledger(ledger_url)
    assert again.launches() == (record(),)
    again.close()


@pytest.mark.parametrize("url", ["nonsense", "sqlite://", "unheardof:///x", "mysql://x/y", "postgresql://a:secret@b/c"])
def test_a_wrong_url_is_one_sentence(url: str) -> None:
    with pytest.raises(ConfigError, match=r"\[ledger\] url") as caught:
        open_ledger(url)
    assert "secret" not in str(caught.value)


def test_a_ledger_that_is_no_database_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("this is no database, whatever its name says" * 10)
    with pytest.raises(LedgerError, match="not a database") as caught:
        open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    assert caught.value.code == "ledger.unavailable"


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match="folder"):
        open_ledger(f"sqlite:///{tmp_path}/file/ledger.db")
