"""What the runner reads before it restores: records of a chain, binary logs, sums; and what it measures of itself."""

from __future__ import annotations

import struct
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.backup.runner.binlog_files import MAGIC, check_sequence, find_binlogs, read_binlog
from orchestrator.backup.runner.chain import read_chain
from orchestrator.backup.runner.errors import Code, JobFailedError
from orchestrator.backup.runner.jobs import PointInTime
from orchestrator.backup.runner.logical import classify, parse_metadata
from orchestrator.backup.runner.peaks import PeakWatch
from orchestrator.backup.runner.pointintime import choose_binlogs, replay_command
from orchestrator.backup.runner.record import Kind, Record, State
from orchestrator.backup.runner.volume import parse_sums, read_sums, write_sums

NOON = int(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp())
FULL = Record(
    backup_id="full",
    source="shop",
    kind=Kind.FULL,
    state=State.DONE,
    started_at="2026-11-23T11:00:00+00:00",
    finished_at="2026-11-23T11:10:00+00:00",
    seconds=600.0,
    bytes_raw=10,
    bytes_stored=5,
    from_lsn=0,
    to_lsn=100,
    binlog_file="binlog.000002",
    binlog_position=4,
)


def increment(name: str, parent: str, from_lsn: int, to_lsn: int) -> Record:
    return replace(FULL, backup_id=name, kind=Kind.INCREMENTAL, parent=parent, from_lsn=from_lsn, to_lsn=to_lsn)


def shelve(volume: Path, *kept: Record) -> list[Path]:
    for record in kept:
        (volume / record.backup_id).mkdir()
        (volume / record.backup_id / "record.json").write_text(record.to_json())
    return [volume / record.backup_id for record in kept]


def test_a_whole_chain_is_read_in_order(tmp_path: Path) -> None:
    kept = (FULL, increment("inc1", "full", 100, 120), increment("inc2", "inc1", 120, 120))
    assert tuple(item.record for item in read_chain(shelve(tmp_path, *kept))) == kept


@pytest.mark.parametrize(
    ("kept", "code", "reason"),
    [
        ((increment("inc1", "full", 100, 120),), Code.BACKUP_CHAIN, "give its parent full first"),
        ((FULL, increment("inc2", "inc1", 120, 130)), Code.BACKUP_CHAIN, "inc2 builds on inc1 at LSN 120"),
        ((FULL, increment("inc1", "full", 90, 130)), Code.BACKUP_CHAIN, "one is missing"),
        ((FULL, replace(FULL, backup_id="full2")), Code.BACKUP_CHAIN, "full2 is full, not an increment"),
        ((replace(FULL, state=State.FAILED),), Code.BACKUP_UNFINISHED, "full is failed, not done; take another one"),
    ],
    ids=range(5),
)
def test_a_chain_with_a_gap_is_refused(kept: tuple[Record, ...], code: Code, reason: str, tmp_path: Path) -> None:
    with pytest.raises(JobFailedError) as caught:
        read_chain(shelve(tmp_path, *kept))
    assert caught.value.code is code
    assert reason in caught.value.reason


def test_a_folder_without_record_is_no_backup(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    with pytest.raises(JobFailedError, match="holds no whole backup") as caught:
        read_chain([tmp_path / "full"])
    assert caught.value.code is Code.BACKUP_UNFINISHED


def test_sums_are_those_that_the_record_vouches_for(tmp_path: Path) -> None:
    (tmp_path / "lsn").mkdir()
    (tmp_path / "lsn/info").write_text("x")
    (tmp_path / "stream").write_text("y")
    listed = write_sums(tmp_path, {"stream": "known"})
    record = replace(FULL, files=(listed,))
    assert read_sums(tmp_path, record) == parse_sums((tmp_path / "SHA256SUMS").read_text())
    assert read_sums(tmp_path, record)["stream"] == "known"
    (tmp_path / "SHA256SUMS").write_text("other\n")
    with pytest.raises(JobFailedError, match="SHA256SUMS is not what was written"):
        read_sums(tmp_path, record)


def event(moment: int, kind: int = 2, content: bytes = b"x" * 20, flags: int = 0) -> bytes:
    return struct.pack("<IBIIIH", moment, kind, 1, 19 + len(content), 0, flags) + content


def log(folder: Path, number: int, *moments: int, torn: bytes = b"") -> Path:
    path = folder / f"binlog.{number:06d}"
    path.write_bytes(MAGIC + b"".join(event(moment) for moment in moments) + torn)
    return path


def test_a_log_is_walked_to_its_last_event(tmp_path: Path) -> None:
    found = read_binlog(log(tmp_path, 1, NOON, NOON + 5, NOON + 3))
    assert (found.last_time, found.whole) == (NOON + 5, True)
    torn = read_binlog(log(tmp_path, 2, NOON, torn=event(NOON + 9)[:-1]))
    assert (torn.last_time, torn.whole) == (NOON, False)


@given(st.binary(max_size=300))
def test_any_bytes_after_the_magic_are_walked(content: bytes) -> None:
    path = Path("/dev/shm/vdbmon-test-binlog.000001")  # noqa: S108 - hypothesis runs one example after the other
    path.write_bytes(MAGIC + content)
    try:
        assert read_binlog(path).size == len(MAGIC + content)
    finally:
        path.unlink()


def test_of_two_copies_of_a_log_the_longer_counts(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    log(tmp_path / "a", 1, NOON)
    longer = log(tmp_path / "b", 1, NOON, NOON + 1)
    last = log(tmp_path / "a", 2, NOON + 2)
    assert find_binlogs([tmp_path / "a", tmp_path / "b"]) == [longer, last]


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(JobFailedError, match=r"binlog\.000002 is missing between binlog\.000001 and binlog\.000003"):
        check_sequence([log(tmp_path, 1), log(tmp_path, 3)])


def test_logs_from_the_backup_to_the_moment_are_chosen(tmp_path: Path) -> None:
    logs = [log(tmp_path, number, NOON - 3000 + number) for number in range(1, 5)]
    until = PointInTime(file="binlog.000003", position=20)
    assert choose_binlogs([tmp_path], FULL, until) == logs[1:3]
    assert choose_binlogs([tmp_path], FULL, PointInTime()) == logs[1:]
    command = replay_command(logs[1:3], FULL, until)
    assert command[2:] == (
        *("--verify-binlog-checksum", "--start-position=4", "--stop-position=20"),
        *map(str, logs[1:3]),
    )


@pytest.mark.parametrize(
    ("numbers", "until", "code", "reason"),
    [
        ((3, 4), PointInTime(), Code.BINLOG_GAP, "binlog.000002, where backup full ends, is missing"),
        ((2, 4), PointInTime(), Code.BINLOG_GAP, "binlog.000003 is missing"),
        ((2, 3), PointInTime(file="binlog.000004", position=4), Code.BINLOG_ENDS_EARLY, "end at binlog.000003"),
        ((2, 3), PointInTime(time="2026-11-23 13:00:00"), Code.BINLOG_ENDS_EARLY, "known up to 2026-11-23 12:00:00"),
        ((2, 3), PointInTime(time="2026-11-23 10:59:59"), Code.BINLOG_ENDS_EARLY, "is before backup full"),
    ],
    ids=range(5),
)
def test_logs_that_do_not_lead_there_are_refused(
    numbers: tuple[int, ...], until: PointInTime, code: Code, reason: str, tmp_path: Path
) -> None:
    for number in numbers:
        log(tmp_path, number, NOON)
    with pytest.raises(JobFailedError, match=reason) as caught:
        choose_binlogs([tmp_path], FULL, until)
    assert caught.value.code is code


def test_a_source_at_rest_is_known_to_the_last_fetch(tmp_path: Path) -> None:
    path = log(tmp_path, 2, NOON)
    fetched = replace(FULL, kind=Kind.BINLOG, restored_to="2026-11-23T13:10:00+00:00")
    (tmp_path / "record.json").write_text(fetched.to_json())
    assert choose_binlogs([tmp_path], FULL, PointInTime(time="2026-11-23 13:00:00")) == [path]


@pytest.mark.parametrize(
    ("name", "order", "database", "table"),
    [
        ("shop-schema-create.sql", 0, None, None),
        ("shop.items-schema.sql", 1, "shop", "items"),
        ("shop.items.sql", 2, "shop", "items"),
        ("shop.v-schema-view.sql", 3, "shop", "v"),
        ("shop-schema-post.sql", 4, "shop", None),
        ("shop.items-schema-triggers.sql", 5, "shop", "items"),
    ],
)
def test_files_of_a_dump_are_loaded_in_their_order(
    name: str, order: int, database: str | None, table: str | None
) -> None:
    found = classify(name)
    assert found is not None
    assert (found.order, found.database, found.table) == (order, database, table)
    assert classify("metadata") is None


def test_the_position_of_a_dump() -> None:
    text = "Started dump at: x\nSHOW MASTER STATUS:\n\tLog: binlog.000001\n\tPos: 1234\n\tGTID:0-1-9\n\nFinished"
    facts = parse_metadata(text)
    assert (facts.binlog_file, facts.binlog_position, facts.gtid) == ("binlog.000001", 1234, "0-1-9")
    assert parse_metadata("").binlog_file is None


def cgroup_v1(root: Path, *, cpu: int, memory: int, written: int) -> None:
    group = root / "sys/fs/cgroup"
    for name, text in {
        "cpuacct/cpuacct.usage": f"{cpu}\n",
        "memory/memory.usage_in_bytes": f"{memory}\n",
        "memory/memory.stat": "cache 5\ntotal_inactive_file 1000\n",
        "blkio/blkio.throttle.io_service_bytes": f"8:0 Read 0\n8:0 Write {written}\n7:1 Write {written}\nTotal 9\n",
    }.items():
        (group / name).parent.mkdir(parents=True, exist_ok=True)
        (group / name).write_text(text)
    (root / "proc/net").mkdir(parents=True, exist_ok=True)
    (root / "proc/net/dev").write_text(f"Inter|\n face|\n lo: 9 0 0 0 0 0 0 0 9\n eth0: {written} 0 0 0 0 0 0 0 7\n")


def cgroup_v2(root: Path, *, cpu: int, memory: int, written: int) -> None:
    group = root / "sys/fs/cgroup"
    group.mkdir(parents=True, exist_ok=True)
    (group / "cgroup.controllers").write_text("cpu io memory\n")
    (group / "cpu.stat").write_text(f"usage_usec {cpu // 1000}\n")
    (group / "memory.current").write_text(f"{memory}\n")
    (group / "memory.stat").write_text("anon 5\ninactive_file 1000\n")
    (group / "io.stat").write_text(f"8:0 rbytes=0 wbytes={written} rios=0\n7:1 rbytes=0 wbytes={written}\n")
    (root / "proc/net").mkdir(parents=True, exist_ok=True)
    (root / "proc/net/dev").write_text(f" lo: 9 0 0 0 0 0 0 0 9\n eth0: {written} 0 0 0 0 0 0 0 7\n")


@pytest.mark.parametrize("write", [cgroup_v1, cgroup_v2], ids=["v1", "v2"])
def test_peaks_are_the_busiest_window_and_no_device_is_counted_twice(write: object, tmp_path: Path) -> None:
    assert callable(write)
    now = [0.0]
    watch = PeakWatch(tmp_path, monotonic=lambda: now[0])
    # Half a core and 1 MB/s for ten seconds, then nothing.
    for second in range(20):
        now[0], busy = float(second), min(second, 10)
        write(tmp_path, cpu=busy * 500_000_000, memory=3000 if second == 4 else 2000, written=busy * 1_000_000)
        watch.look()
    peaks = watch.peaks()
    assert peaks.cpu == 0.5
    assert peaks.memory == 2000
    assert (peaks.read_bps, peaks.write_bps) == (0, 1_000_000)
    assert (peaks.network_in_bps, peaks.network_out_bps) == (1_000_000, 0)


def test_a_machine_without_cgroup_files_has_no_peaks(tmp_path: Path) -> None:
    watch = PeakWatch(tmp_path)
    watch.look()
    watch.look()
    assert (watch.peaks().cpu, watch.peaks().memory, watch.peaks().write_bps) == (None, None, None)
