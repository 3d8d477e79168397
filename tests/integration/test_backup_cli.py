"""`vdbmon backup` on a catalogue and real sized volumes; no engine is asked, for nothing runs."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from collector.errors import VdbmonError
from orchestrator.backup.decisions import FILE_NAME
from orchestrator.backup.runner.record import RECORD_NAME, Kind, Record, State
from orchestrator.backup.upkeep import keep_up
from orchestrator.decision.resources import HELD_WHILE_RUNNING
from orchestrator.host.volumes import SMALLEST_BYTES, SizedVolume
from orchestrator.ledger import LaunchState, Miss, open_ledger
from tests.support.backup_site import FULL_HOST, SCHEDULE, Site
from tests.support.backups import DAY, record
from tests.support.ledger import allocate
from tests.support.ledger import record as ledger_record


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path)
    yield found
    found.ledger.close()
    for name in found.volumes.list():
        found.volumes.remove(name)


def chain(site: Site) -> tuple[Record, Record]:
    full = site.stored("full", age=3 * DAY)
    return full, site.stored("later", Kind.INCREMENTAL, age=2 * DAY, parent="full", from_lsn=full.to_lsn, to_lsn=2000)


def test_nothing_is_said_of_nothing(site: Site) -> None:
    assert site.said("list") == "no backups\n"
    assert json.loads(site.said("list", "--json")) == []
    assert site.said("prune", "--dry-run") == "no backups\n"
    assert site.said("schedules") == "no schedules; describe them in [[schedules]]\n"


def test_a_scan_finds_what_is_in_the_volumes(site: Site) -> None:
    chain(site)
    assert site.said("scan").splitlines() == ["db1: full: full of demo, done", "db1: later: incremental of demo, done"]
    listed = site.said("list")
    assert "full" in listed
    assert "2d" in listed
    shown = site.said("show", "la")
    assert "builds on full" in shown
    assert "restore   full <- later" in shown
    (document,) = json.loads(site.said("show", "full", "--json"))
    assert (document["id"], document["state"], document["record"]["format"]) == ("full", "done", 2)


def test_what_is_odd_in_a_volume_is_named_and_not_taken(site: Site, tmp_path: Path) -> None:
    volume = site.volumes.create("mixed", SMALLEST_BYTES)
    (volume.mountpoint / ".mixed.partial").mkdir()
    site.leave(volume, replace(record("other"), source="demo"))
    (volume.mountpoint / "other").rename(volume.mountpoint / "renamed")
    (tmp_path / "outside.json").write_text(record("linked").to_json())
    (volume.mountpoint / "linked").mkdir()
    (volume.mountpoint / "linked" / RECORD_NAME).symlink_to(tmp_path / "outside.json")
    said = site.said("scan", code=1)
    assert "'.mixed.partial' is no whole backup" in said
    assert "the record in 'renamed' is of other" in said
    assert site.ledger.backups.all() == ()


def test_a_backup_whose_volume_is_gone_is_forgotten_on_an_operators_word_alone(site: Site) -> None:
    site.known(record("gone"))
    assert "gone: its volume isn't there" in site.said("scan", code=1)
    assert site.ledger.backups.get("gone").present
    assert "it is history now" in site.said("scan", "--forget")
    assert not site.ledger.backups.get("gone").present
    site.stored("gone")
    site.said("scan")
    assert site.ledger.backups.get("gone").present, "it came back"


def test_prune_says_why_and_removes_children_first(site: Site) -> None:
    site.known(*chain(site))
    said = site.said("prune", "--dry-run")
    assert "the last good one" in said
    assert "later needs it" in said
    assert site.volumes.list() == ("full", "later")

    site.known(site.stored("newest"))
    verdicts = json.loads(site.said("prune", "--dry-run", "--json"))
    assert [(item["backup"]["id"], item["held"]) for item in verdicts] == [
        ("later", None),
        ("newest", "last good one"),
        ("full", None),
    ]
    assert site.said("prune").splitlines()[-2:] == ["removed later", "removed full"]
    assert site.volumes.list() == ("newest",)
    assert "removed" in site.said("list", "--all")
    assert "later" not in site.said("list")


def test_a_removal_that_stops_is_gone_on_with_the_next_time(site: Site) -> None:
    site.known(*chain(site), site.stored("newest"))
    volume = site.volumes.get("later")
    assert isinstance(volume, SizedVolume)
    with (volume.mountpoint / "held").open("w"):
        assert "volume later is in use" in site.said("prune", code=1)
        assert site.volumes.list() == ("full", "later", "newest"), "no parent goes before its child"
        assert "being removed" in site.said("list", "--all")
        assert site.refusal("show", "zz").code == "backup.not_found"
    assert "restore   no: it is being removed" in site.said("show", "later")
    assert site.said("prune").splitlines()[-2:] == ["removed later", "removed full"]


def test_a_keep_holds_a_backup_and_its_parents(site: Site) -> None:
    site.known(*chain(site), site.stored("newest"))
    assert site.said("keep", "later", "--why", "the audit", "--until", "2h").startswith("later is kept until 20")
    assert "kept: the audit" in site.said("list")
    site.said("prune")
    assert site.volumes.list() == ("full", "later", "newest")
    (event,) = [item for item in site.ledger.events_named("later") if item.kind == "backup.keep"]
    assert event.who == "ann"
    assert site.said("keep", "later", "--release") == "later is left to the retention\n"
    site.said("prune")
    assert site.volumes.list() == ("newest",)


def lose_the_ledger(site: Site) -> None:
    site.ledger.close()
    for path in site.folder.glob("ledger.db*"):
        path.unlink()
    site.ledger = open_ledger(f"sqlite:///{site.folder}/ledger.db")


def test_a_keep_and_a_verification_outlive_the_ledger(site: Site) -> None:
    site.known(*chain(site))
    site.said("keep", "full", "--why", "the audit")
    site.ledger.backups.verified("later", by="v1", at=time.time(), damage=None)
    assert keep_up(site.ledger, lambda _: site.volumes)
    lose_the_ledger(site)
    said = site.said("scan").splitlines()
    assert said == [
        "db1: full: full of demo, done; its keep and verification were read from beside it",
        "db1: later: incremental of demo, done; its keep and verification were read from beside it",
    ]
    assert site.ledger.backups.get("full").keep_why == "the audit"
    assert site.ledger.backups.get("later").state is State.VERIFIED

    site.said("keep", "full", "--release")
    lose_the_ledger(site)
    site.said("scan")
    assert site.ledger.backups.get("full").keep_why is None


def test_a_keep_that_can_not_be_written_beside_its_backup_is_kept_all_the_same_and_owed(site: Site) -> None:
    site.known(site.stored("full"))
    volume = site.volumes.get("full")
    assert isinstance(volume, SizedVolume)
    (volume.mountpoint / f".{FILE_NAME}.new" / "full").mkdir(parents=True)
    said = site.said("keep", "full", "--why", "the audit")
    assert "full is kept until it is released" in said
    assert "not written beside it yet" in said
    assert site.ledger.backups.get("full").keep_why == "the audit"
    with pytest.raises(VdbmonError, match="Is a directory"):
        keep_up(site.ledger, lambda _: site.volumes)
    shutil.rmtree(volume.mountpoint / f".{FILE_NAME}.new")
    keep_up(site.ledger, lambda _: site.volumes)
    assert (volume.mountpoint / FILE_NAME).is_file()


def scheduled(site: Site) -> None:
    site.append(SCHEDULE)
    site.ledger.schedules.progress("nightly", at=100.0)


def test_a_run_that_waits_is_told_with_what_each_host_has_against_it(site: Site) -> None:
    scheduled(site)
    assert "ok" in site.said("schedules")
    site.ledger.schedules.begin("nightly", 200.0)
    site.ledger.schedules.wait("nightly", FULL_HOST, tries=2, retry_at=time.time() + 60)
    for words in (("list",), ("schedules",), ("schedules", "nightly")):
        said = site.said(*words)
        assert "waiting: nightly (backup of demo), due 1970-01-01" in said
        assert "tried 2 times, again at 20" in said
        assert "slots: 1 needed, 0 free, 1 short (db1)" in said
    assert "  db1: capacity.slots: slots: 1 needed, 0 free, 1 short" in site.said("schedules", "nightly")
    assert "waiting" not in site.said("list", "--source", "demo", "--json")
    (document,) = json.loads(site.said("schedules", "--json"))
    assert (document["schedule"], document["state"], document["trying"], document["tries"]) == (
        "nightly",
        "waiting",
        200.0,
        2,
    )
    assert document["hindrance"]["against"]["db1"] == [["capacity.slots", "slots: 1 needed, 0 free, 1 short"]]


def test_a_missed_run_is_told_until_a_later_one_is_placed(site: Site) -> None:
    scheduled(site)
    site.ledger.schedules.missed("nightly", Miss(due=200.0, at=900.0, runs=2, tries=4, hindrance=FULL_HOST))
    for words in (("list",), ("schedules",)):
        said = site.said(*words)
        assert "missed: nightly (backup of demo), 2 runs, the last one due 1970-01-01" in said
        assert "tried 4 times: slots" in said
    site.ledger.schedules.placed("nightly", until=300.0)
    assert "missed:" not in site.said("list")


def test_what_is_said_of_a_backup_tells_of_logs_that_are_missing_and_of_second_copies(site: Site) -> None:
    full = record("full", binlog_file="binlog.000003", binlog_position=500)
    logs = record(
        "logs", Kind.BINLOG, first_binlog_file="binlog.000001", binlog_file="binlog.000003", binlog_position=400
    )
    site.known(full, logs, record("copy-1", Kind.COPY, parent="full"))
    assert "waiting_for_logs" in site.said("list")
    assert "second copy" in site.said("list")
    shown = site.said("show", "full")
    assert "full: full backup of demo, waiting_for_logs" in shown
    assert "don't reach binlog.000003:500 yet" in shown
    assert "by copy-1" in shown
    site.known(replace(logs, binlog_position=501, restored_to="2026-11-23T05:00:00+00:00"))
    shown = site.said("show", "full")
    assert "full: full backup of demo, done" in shown
    assert "later     with binary logs, until 2026-11-23 05:00:00 UTC" in shown


def test_what_a_container_wrote_steers_no_terminal(site: Site) -> None:
    site.known(record("full", state=State.FAILED, reason="\x1b[2Jall is well\r\nreally"))
    for words in (("list",), ("show", "full")):
        said = site.said(*words)
        assert "?[2Jall is well??really" in said
        assert "\x1b" not in said


def test_a_job_under_way_is_in_the_list(site: Site) -> None:
    launch = replace(ledger_record("b1", "r-b1"), volume="b1-r")
    allocate(site.ledger, launch)
    site.ledger.advance("r-b1", LaunchState.RUNNING, at=2.0)
    (document,) = json.loads(site.said("list", "--json"))
    assert (document["id"], document["state"], document["kind"]) == ("b1-r", "started", "full")


def test_wrong_words_change_nothing(site: Site) -> None:
    site.known(*chain(site))
    assert site.refusal("keep", "full").code == "request.why"
    assert site.refusal("keep", "full", "--why", "x", "--release").code == "request.why"
    assert site.refusal("keep", "full", "--until", "2h").code == "request.why"
    assert site.refusal("scan", "--host", "nobody").code == "request.host"
    assert site.refusal("schedules", "nobody").code == "request.schedule"
    assert site.refusal("prune", "--source", "nobody").code == "request.source"
    assert site.refusal("show", "x").code == "backup.not_found"
    site.known(record("full2"))
    assert site.refusal("show", "fu").code == "backup.ambiguous"
    assert site.refusal("verify", "full2", "--name", "-odd-").code == "request.name"


def test_a_broken_backup_is_refused_before_anything_is_asked(site: Site) -> None:
    full, later = chain(site)
    site.known(replace(full, state=State.FAILED, reason="the disk is gone"), later)
    error = site.refusal("restore", "later", "r1")
    assert error.code == "backup.chain_broken"
    assert "full is failed: the disk is gone" in error.message


def launched(site: Site, name: str) -> None:
    """The ledger's row of a launch whose container is removed and whose volume is kept."""
    launch = replace(ledger_record(name, f"r-{name}"), volume=name)
    allocate(site.ledger, launch)
    site.ledger.advance(launch.request_id, LaunchState.REMOVED, at=2.0, release=HELD_WHILE_RUNNING)


def test_rm_by_name_refuses_what_an_increment_needs_or_somebody_keeps(site: Site) -> None:
    site.known(*chain(site))
    for name in ("full", "later"):
        launched(site, name)
    assert site.rm_refusal("full") == ("backup.needed", "later builds on full")
    site.said("keep", "later", "--why", "the audit")
    assert site.rm_refusal("later") == ("backup.kept", "later is kept: the audit")
    assert site.volumes.list() == ("full", "later")
    site.said("keep", "later", "--release")
    for name in ("later", "full"):
        assert site.rm(name).exit_code == 0
    assert site.volumes.list() == ()
    assert all(not item.present for item in site.ledger.backups.all())


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--job", "tape"), "request.job"),
        (("--job", "verify", "--incremental"), "request.job_option"),
        (("--incremental",), "backup.none_good"),
        (("--job", "restore", "--backup", "zz"), "backup.not_found"),
        (("--job", "standby", "--backup", "full"), "source.reach_unsupported"),
        (("--job", "copy", "--backup", "full"), "source.copy"),
        (("--job", "verify", "--backup", "full", "--host", "db2"), "request.host"),
        (("--size", "huge"), "request.size"),
        (("--size", "auto", "--memory", "1MiB"), "request.size"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_job_that_cannot_end_well_is_refused_before_anybody_is_asked(
    site: Site, words: tuple[str, ...], code: str
) -> None:
    if "full" in words:
        site.known(record("full"))
    found, exit_code = site.place_refusal(*words)
    assert found == code
    assert exit_code in {1, 2}


def test_a_backup_is_read_on_its_own_host_alone(site: Site) -> None:
    site.append('[[hosts]]\nname = "db2"\ninventory = { cpus = 8, memory = "32GiB", disk = "1TiB", ')
    site.append('read_bps = "200MB", write_bps = "200MB" }\n')
    site.known(record("full"))
    refusal = site.place_refusal("--job", "verify", "--backup", "full", "--host", "db2")
    assert refusal == ("backup.elsewhere", 1)
