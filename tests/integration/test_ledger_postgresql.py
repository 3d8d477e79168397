"""What only PostgreSQL can do to the ledger: refuse a login, go away, and hold a row for a scheduler that is frozen."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from orchestrator.ledger import LedgerError, database, open_ledger, schema
from orchestrator.ledger.database import open_database
from orchestrator.ledger.generations import lock
from tests.support.ledger import allocate, record
from tests.support.postgresql import PostgreSQL


@pytest.fixture
def login(postgresql: PostgreSQL) -> Iterator[str]:
    """The URL of a ledger whose role needs a password."""
    hba = postgresql.folder / "data" / "pg_hba.conf"
    before = hba.read_text()
    hba.write_text(f"local all ledger scram-sha-256\n{before}")
    postgresql.sql("postgres", "CREATE ROLE ledger LOGIN PASSWORD 'of-the-test'")
    postgresql.sql("postgres", "SELECT pg_reload_conf()")
    url = postgresql.database()
    name = url.partition("@/")[2].partition("?")[0]
    postgresql.sql("postgres", f"ALTER DATABASE {name} OWNER TO ledger")
    yield url.replace("postgres@", "ledger@")
    hba.write_text(before)
    postgresql.sql("postgres", "SELECT pg_reload_conf()")
    postgresql.sql("postgres", f"DROP DATABASE {name}")
    postgresql.sql("postgres", "DROP ROLE ledger")


def test_the_password_comes_from_a_file_that_only_its_owner_can_read(login: str, tmp_path: Path) -> None:
    secret = tmp_path / "pgpass"
    secret.write_text("*:*:*:ledger:of-the-test\n")
    secret.chmod(0o600)
    open_ledger(f"{login}&passfile={secret}").close()
    secret.chmod(0o644)
    with pytest.raises(LedgerError, match="no password supplied") as caught:
        open_ledger(f"{login}&passfile={secret}")
    assert "of-the-test" not in str(caught.value)


def test_a_server_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(LedgerError) as caught:
        open_ledger(f"postgresql+psycopg://postgres@/ledger?host={tmp_path}")
    assert caught.value.code == "ledger.unavailable"
    assert "\n" not in str(caught.value)


def test_a_scheduler_that_froze_in_a_transaction_holds_up_the_others_only_for_a_while(
    postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgresql.database()
    ledger = open_ledger(url)
    allocate(ledger, record())
    monkeypatch.setattr(database, "_ABANDONED_SECONDS", 1)
    frozen = open_database(url)

    def freeze() -> None:
        with frozen.writing() as connection:
            lock(connection, schema.host, "db1")
            allocate(ledger, record("b2", "r2"))
            connection.execute(select(schema.host))

    with pytest.raises(LedgerError):
        freeze()
    assert sorted(ledger.view().names) == ["b1", "b2"]
    frozen.close()
    ledger.close()


def test_a_connection_that_the_server_ended_is_made_anew(postgresql: PostgreSQL) -> None:
    url = postgresql.database()
    ledger = open_ledger(url)
    allocate(ledger, record())
    name = url.partition("@/")[2].partition("?")[0]
    ended = postgresql.sql(
        "postgres",
        f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}'",  # noqa: S608 - ours
    )
    assert int(ended) > 0
    allocate(ledger, record("b2", "r2"))
    assert sorted(ledger.view().names) == ["b1", "b2"]
    ledger.close()
