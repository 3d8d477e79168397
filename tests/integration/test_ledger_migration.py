"""The ledger's schema, and how an older ledger gets there."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

import orchestrator.ledger
from orchestrator.backup.noting import owed
from orchestrator.decision.resources import HELD_WHILE_RUNNING, ResourceClass
from orchestrator.ledger import LaunchState, LedgerError, open_ledger, schema
from tests.support.ledger import allocate, record

OLD_ROWS = (
    "INSERT INTO host VALUES ('db1', 7, 'engine')",
    """INSERT INTO launch VALUES ('r1', 'b1', 'db1', 'demo', 'backup', 'running', '{"image": "x"}', 'hash', 'c1',
       'b1-r1', NULL, 1.5, 2.5)""",
    """INSERT INTO launch VALUES ('r0', 'b1', 'db1', 'demo', 'backup', 'removed', '{}', 'hash', NULL, 'b1-r0',
       '{"exit_code": 0}', 0.5, 1.0)""",
    "INSERT INTO allocation VALUES ('r1', 'db1', 'slots', 1), ('r1', 'db1', 'disk', 40), ('r0', 'db1', 'disk', 30)",
    """INSERT INTO event (at, request_id, kind, detail) VALUES
       (1.5, 'r1', 'decision', '{"name": "b1", "host": "db1"}'), (1.5, 'r1', 'intent', NULL),
       (3.0, 'r9', 'decision', '{"name": "b9", "host": null}')""",
)


def alembic(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(orchestrator.ledger.__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


@contextlib.contextmanager
def connected(url: str) -> Iterator[Connection]:
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


@pytest.fixture
def old_url(ledger_url: str, tmp_path: Path) -> str:
    """A ledger as revision 0001 wrote it."""
    (tmp_path / "ledger").mkdir(exist_ok=True)
    with connected(ledger_url) as connection:
        command.upgrade(alembic(connection), "0001")
        for statement in OLD_ROWS:
            connection.execute(text(statement.replace(":", r"\:")))
    return ledger_url


def test_a_ledger_of_the_first_revision_is_brought_up_with_nothing_lost(old_url: str) -> None:
    ledger = open_ledger(old_url)
    view = ledger.view()
    assert view.generations == {"db1": 7}
    assert view.fingerprints == {"db1": "engine"}
    assert view.allocated == {"db1": {ResourceClass.SLOTS: 1, ResourceClass.DISK: 70}}
    assert view.names == {"b1": "db1"}
    assert view.readers == {"demo": 1}
    old, running = ledger.launches()
    assert (old.state, old.volume, old.outcome) == (LaunchState.REMOVED, "b1-r0", {"exit_code": 0})
    assert (running.state, running.container_id, running.spec) == (LaunchState.RUNNING, "c1", {"image": "x"})
    assert (running.created_at, running.updated_at, running.window_start) == (1.5, 2.5, None)
    assert [(event.kind, event.host) for event in ledger.events_named("b1")] == [("decision", "db1"), ("intent", "db1")]
    (refused,) = ledger.events_named("b9")
    assert refused.detail == {"name": "b9", "host": None}
    allocate(ledger, record("b2", "r2"), amounts={ResourceClass.SLOTS: 1})
    ledger.advance("r1", LaunchState.DONE, at=4.0, release=HELD_WHILE_RUNNING)
    assert len(ledger.events_named("b1")) == 4
    ledger.close()


def test_what_was_decided_before_it_was_written_beside_backups_is_owed_to_them(ledger_url: str, tmp_path: Path) -> None:
    (tmp_path / "ledger").mkdir(exist_ok=True)
    old: dict[str, object] = {
        "source": "demo",
        "kind": "full",
        "made": "done",
        "host": "db1",
        "volume": "v",
        "record": {},
    }
    old |= {"started_at": 1.0, "finished_at": 2.0, "seconds": 1.0, "bytes_raw": 3, "bytes_stored": 3}
    decided: tuple[dict[str, object], ...] = ({"keep_why": "the audit"}, {"verified_at": 9.0, "verified_by": "v1"}, {})
    with connected(ledger_url) as connection:
        command.upgrade(alembic(connection), "0006")
        for name, told in zip(("kept", "verified", "plain"), decided, strict=True):
            connection.execute(schema.backup.insert().values(id=name, **old, **told))
        connection.execute(text("INSERT INTO schedule VALUES ('nightly', 1.0, 2.0, 3, 2.0, 'full')"))
    ledger = open_ledger(ledger_url)
    backups = ledger.backups.all()
    assert {backup.id: backup.decided_at for backup in backups} == {"kept": 2.0, "verified": 9.0, "plain": None}
    assert {backup.id for backup in owed(backups)} == {"kept", "verified"}
    (progress,) = ledger.schedules.all()
    assert (progress.missed, progress.trying, progress.tries, progress.last_miss) == (3, None, 0, None)
    ledger.close()


def test_migrations_lead_to_the_declared_tables(old_url: str) -> None:
    open_ledger(old_url).close()
    with connected(old_url) as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []


def test_head_names_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(orchestrator.ledger.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == schema.HEAD


def test_the_schema_does_not_go_back(ledger_url: str) -> None:
    open_ledger(ledger_url).close()
    with pytest.raises(NotImplementedError, match="restore a copy"), connected(ledger_url) as connection:
        command.downgrade(alembic(connection), "0001")
    ledger = open_ledger(ledger_url)
    assert ledger.view().cordons == ()
    ledger.close()


def test_a_ledger_that_a_newer_vdbmon_wrote_is_left_alone(ledger_url: str) -> None:
    open_ledger(ledger_url).close()
    with connected(ledger_url) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(LedgerError, match="schema 9999") as caught:
        open_ledger(ledger_url)
    assert caught.value.code == "ledger.newer"
