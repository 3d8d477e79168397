"""The catalogue in the ledger, on SQLite and on PostgreSQL."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from collector.errors import VdbmonError
from orchestrator.backup.decisions import Decisions
from orchestrator.backup.entries import Backup, entry_of
from orchestrator.backup.feeding import feed
from orchestrator.backup.noting import owed
from orchestrator.backup.retention import judge, removable
from orchestrator.backup.runner.record import Kind, Record, State
from orchestrator.backup.settings import Retention
from orchestrator.decision.resources import HELD_WHILE_RUNNING
from orchestrator.ledger import (
    BackupNotFoundError,
    ConcurrentUpdateError,
    Generations,
    Hindrance,
    LaunchRecord,
    LaunchState,
    Ledger,
    Miss,
)
from tests.support.backups import DAY, backup, increment
from tests.support.backups import record as job_record
from tests.support.ledger import allocate, record

FULL = backup("f1", DAY)
CHILD = increment("i1", 2 * DAY, FULL)


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    for item in (FULL, CHILD, backup("other", DAY, source="other")):
        ledger.backups.put(item)
    return ledger


def test_what_is_put_comes_back(filled: Ledger) -> None:
    assert filled.backups.all(source="demo") == (FULL, CHILD)
    assert [item.id for item in filled.backups.all()] == ["f1", "other", "i1"]
    entry = entry_of(job_record("b1-01234567"), host="db1", volume="b1-01234567", request_id="r1")
    filled.backups.put(entry)
    assert filled.backups.get("b1-01234567") == entry
    assert entry.record["peaks"]["memory"] == 200 * 2**20


def test_a_backup_is_found_by_the_beginning_of_its_id(filled: Ledger) -> None:
    filled.backups.put(backup("i10", 3 * DAY))
    assert filled.backups.get("f").id == "f1"
    assert filled.backups.get("i1").id == "i1", "a whole id goes before a beginning"
    with pytest.raises(BackupNotFoundError):
        filled.backups.get("zz")
    with pytest.raises(VdbmonError) as caught:
        filled.backups.get("i")
    assert caught.value.code == "backup.ambiguous"


def test_a_record_that_is_read_again_takes_nothing_back(filled: Ledger) -> None:
    filled.backups.verified("f1", by="v1", at=5.0, damage=None)
    filled.backups.keep("f1", why="the audit", until=9.0, who="ann", at=6.0)
    filled.backups.put(replace(FULL, request_id=None))
    found = filled.backups.get("f1")
    assert (found.state, found.verified_at, found.verified_by) == (State.VERIFIED, 5.0, "v1")
    assert (found.keep_why, found.keep_until) == ("the audit", 9.0)


def test_the_newest_verification_counts(filled: Ledger) -> None:
    filled.backups.verified("f1", by="v1", at=5.0, damage="table shop.orders differs")
    found = filled.backups.get("f1")
    assert (found.state, found.damage, found.verified_at) == (State.FAILED, "table shop.orders differs", None)
    filled.backups.verified("f1", by="v2", at=6.0, damage=None)
    assert filled.backups.get("f1").state is State.VERIFIED
    filled.backups.verified("f1", by="v2", at=7.0, damage=None)
    assert filled.backups.get("f1").verified_at == 6.0, "told twice"
    kinds = [event.kind for event in filled.events_named("f1")]
    assert kinds == ["backup.damaged", "backup.verified"]


def test_a_keep_is_recorded_with_who_and_taken_back(filled: Ledger) -> None:
    filled.backups.keep("f1", why="the audit", until=None, who="ann", at=6.0)
    filled.backups.keep("f1", why=None, until=None, who="bob", at=7.0)
    assert filled.backups.get("f1").keep_why is None
    assert [(event.kind, event.who) for event in filled.events_named("f1")] == [
        ("backup.keep", "ann"),
        ("backup.release", "bob"),
    ]
    with pytest.raises(BackupNotFoundError):
        filled.backups.keep("zz", why="x", until=None, who="ann", at=8.0)


def everything(backups: Sequence[Backup], _used: frozenset[str]) -> tuple[Backup, ...]:
    return tuple(reversed([item for item in backups if item.present]))


def test_what_is_condemned_is_no_part_of_a_chain_and_is_told_again_until_it_is_removed(filled: Ledger) -> None:
    assert [item.id for item in filled.backups.condemn("demo", everything, who="ann", at=9.0)] == ["i1", "f1"]
    assert not filled.backups.get("f1").present
    filled.backups.removed("i1", at=10.0, why="pruned")
    left = filled.backups.condemn("demo", everything, who="ann", at=11.0)
    assert [item.id for item in left] == ["f1"]
    with pytest.raises(BackupNotFoundError):
        filled.backups.keep("f1", why="too late", until=None, who="ann", at=12.0)


def test_a_launch_that_was_decided_before_a_prune_fails(filled: Ledger) -> None:
    decided = Generations(host=0, source=filled.view().source_generations.get("demo", 0))
    filled.backups.condemn("demo", everything, who="ann", at=9.0)
    with pytest.raises(ConcurrentUpdateError, match="source demo"):
        allocate(filled, record(), expected=decided)


def test_what_a_live_launch_reads_or_writes_is_in_use(filled: Ledger) -> None:
    launch = replace(record(), spec={"reads": ["f1"]}, volume="b1-r1")
    allocate(filled, launch)
    seen: list[frozenset[str]] = []

    def choose(_: Sequence[Backup], used: frozenset[str]) -> tuple[Backup, ...]:
        seen.append(used)
        return ()

    filled.backups.condemn("demo", choose, who="ann", at=9.0)
    assert seen == [frozenset({"f1", "b1-r1"})]
    filled.advance("r1", LaunchState.DONE, at=2.0, release=HELD_WHILE_RUNNING)
    assert filled.backups.in_use("demo") == frozenset()


def test_of_prunes_at_the_same_time_each_backup_is_condemned_once(ledger: Ledger) -> None:
    for day in range(8):
        ledger.backups.put(backup(f"f{day}", day * DAY))
    policy = Retention(count=2)

    def choose(backups: Sequence[Backup], used: frozenset[str]) -> tuple[Backup, ...]:
        return removable(judge(backups, policy, now=9 * DAY, in_use=used))

    threads = [
        threading.Thread(target=ledger.backups.condemn, args=("demo", choose), kwargs={"who": "ann", "at": 9 * DAY})
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    entries = [event.kind for day in range(8) for event in ledger.events_named(f"f{day}")]
    assert entries == ["backup.condemned"] * 6


def test_a_removed_backup_is_history_as_long_as_the_record_is_kept(filled: Ledger) -> None:
    filled.backups.removed("i1", at=10.0, why="pruned")
    filled.prune(before=10.0, keep=1000)
    assert filled.backups.get("i1").removed_at == 10.0
    filled.prune(before=11.0, keep=1000)
    assert [item.id for item in filled.backups.all(source="demo")] == ["f1"]


RUNNING = replace(record(), state=LaunchState.RUNNING, volume="b1-01234567")


def test_a_job_that_ended_is_in_the_catalogue(ledger: Ledger) -> None:
    feed(ledger.backups, RUNNING, job_record("b1-01234567"), message="", at=9.0)
    found = ledger.backups.get("b1")
    assert (found.kind, found.state, found.host, found.request_id) == (Kind.FULL, State.DONE, "db1", "r1")


@pytest.mark.parametrize(
    "said",
    [None, job_record("somebody-else"), job_record("b1-01234567", source="other")],
    ids=["nothing", "id", "source"],
)
def test_a_job_that_says_nothing_of_itself_has_failed(ledger: Ledger, said: Record | None) -> None:
    feed(ledger.backups, RUNNING, said, message="exit code 137: killed", at=9.0)
    (found,) = ledger.backups.all()
    assert (found.id, found.state, found.reason) == ("b1-01234567", State.FAILED, "exit code 137: killed")


def verification(**changes: Any) -> tuple[LaunchRecord, Record]:
    launch = replace(RUNNING, job="verify", volume="v1-01234567", spec={"reads": ["f1"]})
    return launch, job_record("v1-01234567", Kind.VERIFY, parent="f1", **changes)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, State.VERIFIED),
        ({"state": State.FAILED, "code": "verify.differs", "reason": "shop.orders differs"}, State.FAILED),
        ({"state": State.FAILED, "code": "volume.full", "reason": "no space left"}, State.DONE),
    ],
    ids=["good", "damaged", "no verdict"],
)
def test_a_verification_speaks_of_its_backup(filled: Ledger, changes: dict[str, Any], state: State) -> None:
    launch, said = verification(**changes)
    feed(filled.backups, launch, said, message="", at=9.0)
    assert filled.backups.get("f1").state is state


def test_a_verification_speaks_of_no_backup_that_it_was_not_given(filled: Ledger) -> None:
    launch, said = verification()
    feed(filled.backups, replace(launch, spec={"reads": ["i1"]}), said, message="", at=9.0)
    assert filled.backups.get("f1").state is State.DONE


def test_a_schedule_begins_when_it_is_first_seen_and_settles_each_run_once(ledger: Ledger) -> None:
    book = ledger.schedules
    assert book.progress("nightly", at=100.0).settled_until == 100.0
    assert book.progress("nightly", at=200.0).since == 100.0
    full = Hindrance(
        why="slots: 1 needed, 0 free (db1)", against={"db1": (("capacity.slots", "slots: 1 needed, 0 free"),)}
    )
    book.begin("nightly", 150.0)
    book.wait("nightly", full, tries=1, retry_at=215.0)
    book.begin("nightly", 150.0)
    found = book.progress("nightly", at=200.0)
    assert (found.trying, found.tries, found.retry_at, found.hindrance) == (150.0, 1, 215.0, full)
    miss = Miss(due=150.0, at=200.0, runs=2, tries=1, hindrance=full)
    book.missed("nightly", miss)
    book.missed("nightly", replace(miss, at=300.0))
    (found,) = book.all()
    assert (found.missed, found.last_miss, found.has_missed, found.trying, found.tries) == (2, miss, True, None, 0)
    book.begin("nightly", 180.0)
    book.placed("nightly", until=180.0)
    (found,) = book.all()
    assert (found.missed, found.settled_until, found.last_placed, found.has_missed) == (2, 180.0, 180.0, False)
    assert (found.trying, found.hindrance) == (None, None)
    (event,) = ledger.events_named("nightly")
    assert (event.kind, event.detail["runs"], event.detail["why"]) == ("schedule.missed", 2, full.why)
    assert event.detail["hosts"] == {"db1": ["slots: 1 needed, 0 free"]}


def test_a_run_that_follows_another_is_tried_from_the_beginning(ledger: Ledger) -> None:
    book = ledger.schedules
    book.progress("nightly", at=100.0)
    book.begin("nightly", 150.0)
    book.wait("nightly", Hindrance(why="full"), tries=7, retry_at=900.0)
    book.begin("nightly", 180.0)
    found = book.progress("nightly", at=200.0)
    assert (found.trying, found.tries, found.retry_at, found.hindrance) == (180.0, 0, None, None)


def test_what_is_decided_is_owed_to_its_volume_until_it_is_noted(filled: Ledger) -> None:
    catalogue = filled.backups
    assert owed(catalogue.all()) == ()
    catalogue.keep("f1", why="the audit", until=None, who="ann", at=6.0)
    (first,) = owed(catalogue.all())
    catalogue.verified("f1", by="v1", at=5.0, damage=None)
    (second,) = owed(catalogue.all())
    assert (first.decided_at, second.decided_at) == (6.0, 6.001), "what is decided later is later"
    catalogue.noted("f1", decided_at=6.0)
    assert owed(catalogue.all()), "what was noted is the first one"
    catalogue.noted("f1", decided_at=6.001)
    assert owed(catalogue.all()) == ()


def test_what_stands_beside_a_backup_counts_if_it_is_newer_and_not_of_the_future(filled: Ledger) -> None:
    catalogue = filled.backups
    beside = Decisions(backup_id="f1", decided_at=7.0, keep_why="the audit", verified_at=5.0, verified_by="v1")
    assert catalogue.recall(beside, at=8.0)
    found = catalogue.get("f1")
    assert (found.state, found.keep_why, found.decided_at) == (State.VERIFIED, "the audit", 7.0)
    assert owed(catalogue.all()) == ()
    assert not catalogue.recall(beside, at=8.0), "it is known"
    catalogue.keep("f1", why=None, until=None, who="ann", at=9.0)
    assert not catalogue.recall(replace(beside, decided_at=8.5), at=10.0), "it is older"
    assert not catalogue.recall(replace(beside, decided_at=99.0), at=10.0), "nobody can have decided that yet"
    assert not catalogue.recall(replace(beside, backup_id="zz"), at=10.0)
    assert catalogue.get("f1").keep_why is None
    kinds = [event.kind for event in filled.events_named("f1")]
    assert kinds == ["backup.recalled", "backup.release"]


def test_an_older_verification_that_is_read_again_takes_nothing_back(filled: Ledger) -> None:
    catalogue = filled.backups
    for name, at in (("v1", 5.0), ("v2", 6.0)):
        catalogue.put(backup(name, at, Kind.VERIFY, made=State.VERIFIED, parent="f1"))
    catalogue.verified("f1", by="v2", at=6.0, damage=None)
    catalogue.verified("f1", by="v1", at=5.0, damage="table shop.orders differs")
    assert (catalogue.get("f1").state, catalogue.get("f1").verified_by) == (State.VERIFIED, "v2")
