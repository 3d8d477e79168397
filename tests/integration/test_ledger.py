import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

import orchestrator.ledger
from collector.errors import ConfigError
from orchestrator.ledger import (
    ConcurrentUpdateError,
    Generations,
    LaunchRecord,
    LaunchState,
    Ledger,
    LedgerError,
    NameTakenError,
    open_ledger,
    schema,
)
from orchestrator.resources import HELD_WHILE_RUNNING, Amounts, InventoryRow, ResourceClass

INVENTORY = MappingProxyType(
    {ResourceClass.SLOTS: InventoryRow(2), ResourceClass.DISK: InventoryRow(total=120, reserved=20)}
)
NEEDED: Amounts = MappingProxyType({ResourceClass.SLOTS: 1, ResourceClass.DISK: 40})


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    opened = open_ledger(ledger_url)
    yield opened
    opened.close()


def record(name: str = "b1", request_id: str = "r1") -> LaunchRecord:
    return LaunchRecord(
        request_id=request_id,
        name=name,
        host="db1",
        source="demo",
        job="backup",
        state=LaunchState.INTENT,
        spec={"image": "x"},
        spec_hash="0",
        created_at=1.0,
        updated_at=1.0,
    )


def allocate(
    ledger: Ledger,
    launch: LaunchRecord,
    *,
    generation: int,
    source: int | None = None,
    amounts: Amounts = NEEDED,
    max_readers: int = 9,
) -> None:
    view = ledger.view()
    ledger.allocate(
        launch,
        amounts,
        inventory=INVENTORY,
        expected=Generations(
            host=generation, source=view.source_generations.get("demo", 0) if source is None else source
        ),
        max_readers=max_readers,
        fingerprint="engine",
        decision={"why": "only host"},
    )


def test_an_allocation_is_seen_with_its_name_and_a_new_generation(ledger: Ledger) -> None:
    allocate(ledger, record(), generation=0)
    view = ledger.view()
    assert view.generations == {"db1": 1}
    assert view.fingerprints == {"db1": "engine"}
    assert view.allocated == {"db1": NEEDED}
    assert view.names == {"b1": "db1"}
    assert ledger.launches() == (record(),)
    assert [event.kind for event in ledger.events("r1")] == ["decision", "intent"]
    assert ledger.events("r1")[0].detail == {"why": "only host"}


def test_an_older_generation_is_refused_and_leaves_nothing(ledger: Ledger) -> None:
    allocate(ledger, record(), generation=0)
    with pytest.raises(ConcurrentUpdateError) as caught:
        allocate(ledger, record("b2", "r2"), generation=0)
    assert caught.value.code == "ledger.concurrent_update"
    assert ledger.view().generations == {"db1": 1}
    assert ledger.events("r2") == ()


def test_what_does_not_fit_is_refused_whatever_was_decided(ledger: Ledger) -> None:
    allocate(ledger, record(), generation=0)
    allocate(ledger, record("b2", "r2"), generation=1)
    with pytest.raises(ConcurrentUpdateError):
        allocate(ledger, record("b3", "r3"), generation=2)
    assert ledger.view().allocated["db1"] == {ResourceClass.SLOTS: 2, ResourceClass.DISK: 80}


def test_reserved_amounts_are_not_sold(ledger: Ledger) -> None:
    with pytest.raises(ConcurrentUpdateError):
        allocate(ledger, record(), generation=0, amounts={ResourceClass.DISK: 101})


def test_a_live_name_is_taken_and_a_removed_one_is_free(ledger: Ledger) -> None:
    allocate(ledger, record(), generation=0)
    with pytest.raises(NameTakenError) as caught:
        allocate(ledger, record(request_id="r2"), generation=1)
    assert caught.value.code == "name.taken"
    ledger.advance("r1", LaunchState.REMOVED, at=2.0)
    allocate(ledger, record(request_id="r2"), generation=1)
    assert [launch.request_id for launch in ledger.launches_named("b1")] == ["r1", "r2"]


def test_release_gives_back_only_what_is_named_and_only_once(ledger: Ledger) -> None:
    allocate(ledger, record(), generation=0)
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
    allocate(ledger, record(), generation=0)
    ledger.advance("r1", LaunchState.REMOVED, at=2.0, volume="b1-r1")
    assert ledger.launches() == (replace(record(), state=LaunchState.REMOVED, volume="b1-r1", updated_at=2.0),)
    ledger.advance("r1", LaunchState.REMOVED, at=3.0, volume=None)
    assert ledger.launches() == ()


def test_the_engine_is_bound_only_while_something_lives_on_it(ledger: Ledger) -> None:
    allocate(ledger, record(), generation=0)
    ledger.advance("r1", LaunchState.REMOVED, at=2.0)
    assert ledger.view().fingerprints == {}


def test_the_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    open_ledger(f"sqlite:///{tmp_path}/state/ledger.db").close()
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_opening_again_keeps_what_is_there(ledger: Ledger, ledger_url: str) -> None:
    allocate(ledger, record(), generation=0)
    again = open_ledger(ledger_url)
    assert again.launches() == (record(),)
    again.close()


def test_migrations_lead_to_the_declared_tables(ledger: Ledger, ledger_url: str) -> None:
    assert ledger.launches() == ()
    engine = create_engine(ledger_url)
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), schema.metadata)
    engine.dispose()
    assert differences == []


def test_head_names_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(orchestrator.ledger.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == schema.HEAD


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
