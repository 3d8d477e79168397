"""One job of the runner from start to end: what it leaves, says and counts; the programs are scripts here."""

from __future__ import annotations

import hashlib
import itertools
import os
import signal
import subprocess
import sys
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.inputs.job import (
    BYTES,
    DURATION,
    EXPECTED,
    LAG,
    LAST_COPY,
    LAST_SUCCESS,
    LAST_VERIFIED,
    PROGRESS,
    START,
    STATE,
    Values,
    parse_job_text,
)
from orchestrator.backup import runner
from orchestrator.backup.runner.attempt import Surroundings
from orchestrator.backup.runner.backup import run_backup
from orchestrator.backup.runner.errors import Code, JobFailedError
from orchestrator.backup.runner.facts import Position, parse_binlog_position, parse_facts, parse_version
from orchestrator.backup.runner.frames import FrameWriter
from orchestrator.backup.runner.jobs import BackupJob, BackupRequest, Server, TableDetail
from orchestrator.backup.runner.locks import (
    BEGUN,
    BLOCKING_COMMITS,
    COMMITS_BLOCKED,
    UNLOCKED,
    WAITING,
    LockLimits,
    LockWatch,
)
from orchestrator.backup.runner.mariadb_backup import produce_backup
from orchestrator.backup.runner.metrics import MetricsFiles
from orchestrator.backup.runner.pipeline import FirstProgram, complaint_of, log_text
from orchestrator.backup.runner.progress import Progress
from orchestrator.backup.runner.record import Kind, Record, State
from tests.support.wait import wait_until

INFO = """\
uuid = 4c10b90e-e6fd-11f1-9184-4d8bd27cf557
name = 
tool_name = mariadb-backup
tool_version = 10.11.19-MariaDB
server_version = 10.11.19-MariaDB-0+deb12u1-log
lock_time = 1795411098
binlog_pos = filename 'binlog.000001', position '1192', GTID of the last change '0-1-4'
innodb_from_lsn = 0
innodb_to_lsn = 286460722
"""  # noqa: W291 - as the tool writes it
LOG = """\
[00] 2026-11-23 05:18:18 Connecting to MariaDB server host: localhost, user: vdbmon_backup, password: set
2026-11-23  5:18:18 0 [Note] InnoDB: Number of transaction pools: 1
[00] 2026-11-23 05:18:20 Acquired locks for BACKUP STAGE BLOCK_DDL
[00] 2026-11-23 05:18:20 Acquired locks for BACKUP STAGE BLOCK_COMMIT
[00] 2026-11-23 05:18:23 All tables unlocked
[00] 2026-11-23 05:18:23 completed OK!
"""
MARIADB_BACKUP = f"""#!/bin/sh
for option; do case $option in --version) echo 'mariadb-backup based on MariaDB server 10.11.19-MariaDB'; exit ;;
    --extra-lsndir=*) lsn=${{option#*=}} ;; esac; done
cat >"$lsn/xtrabackup_info" <<'END'
{INFO}END
head -c 3000000 /dev/zero
cat >&2 <<'END'
{LOG}END
"""
ZSTD = """#!/bin/sh
case $1 in --version) echo '*** Zstandard CLI (64-bit) v1.5.4, by Yann Collet ***' ;; *) exec cat ;; esac
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that comes first where programs are looked for."""
    folder = tmp_path / "bin"
    folder.mkdir()
    write_program(folder / "mariadb-backup", MARIADB_BACKUP)
    write_program(folder / "zstd", ZSTD)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


@pytest.fixture
def job(tmp_path: Path, programs: Path) -> BackupJob:
    assert programs.is_dir()
    target, credentials = tmp_path / "volume", tmp_path / "source.cnf"
    target.mkdir()
    credentials.write_text("[client]\nuser=backup\npassword=secret\n")
    credentials.chmod(0o600)
    return make_job(target, credentials)


def make_job(target: Path, credentials: Path, backup_id: str = "b1") -> BackupJob:
    return BackupJob(
        source="demo",
        backup_id=backup_id,
        target=target,
        origin=Server(socket=target.parent / "mysqld.sock", defaults_file=credentials),
        request=BackupRequest(table_detail=TableDetail.NONE),
    )


def write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def credentials_of(job: BackupJob) -> Path:
    assert isinstance(job.origin, Server)
    return job.origin.defaults_file


def back_up(job: BackupJob, metrics: MetricsFiles | None = None) -> Record:
    seconds = itertools.count(100.0)
    surroundings = Surroundings(
        progress=Progress(lambda _: None, metrics),
        commit=lambda: None,
        now=lambda: datetime(2026, 11, 23, 5, 0, tzinfo=UTC),
        monotonic=lambda: next(seconds),
    )
    return run_backup(job, surroundings)


def test_facts_come_from_the_tools_info() -> None:
    facts = parse_facts(INFO, lock_seconds=0.25)
    assert facts.server_version == "10.11.19-MariaDB-0+deb12u1-log"
    assert (facts.from_lsn, facts.to_lsn, facts.lock_seconds) == (0, 286460722, 0.25)
    assert (facts.binlog_file, facts.binlog_position, facts.gtid) == ("binlog.000001", 1192, "0-1-4")
    assert parse_binlog_position(INFO) == Position(file="binlog.000001", offset=1192)


def test_a_server_without_binary_log_has_no_position() -> None:
    facts = parse_facts("binlog_pos = \ninnodb_to_lsn = x\n")
    assert {getattr(facts, field.name) for field in fields(facts)} == {None}
    assert parse_binlog_position("") is None


@given(st.text())
def test_facts_of_any_text_never_raise(info: str) -> None:
    parse_facts(info)


def test_a_log_line_without_thread_and_time() -> None:
    assert log_text("[00] 2026-11-23 05:18:20 Failed to connect: denied\n") == "Failed to connect: denied"
    assert log_text("2026-11-23  5:18:18 0 [ERROR] InnoDB: gone\n") == "[ERROR] InnoDB: gone"
    assert log_text("plain words") == "plain words"


@given(st.text())
def test_any_log_line_gives_a_text(line: str) -> None:
    log_text(line)


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([], ""),
        (["one", "two"], "two"),
        (
            ["[00] 2026-11-23 05:18:20 Failed to connect: denied", "[00] 2026-11-23 05:18:20 bye"],
            "Failed to connect: denied",
        ),
        (
            ["age: error: no identity matched", "age: report unexpected or unhelpful errors"],
            "age: error: no identity matched",
        ),
        (["Fatal: no config", "an error", "another error"], "Fatal: no config an error"),
    ],
    ids=range(5),
)
def test_what_a_program_complains_of_is_found_in_its_messages(lines: list[str], complaint: str) -> None:
    assert complaint_of(lines) == complaint


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("*** Zstandard CLI (64-bit) v1.5.4, by Yann Collet ***\n", "1.5.4"),
        ("mariadb-backup based on MariaDB server 10.11.19-MariaDB Linux", "10.11.19-MariaDB"),
        ("v1.1.1\n", "1.1.1"),
        ("something else", None),
    ],
)
def test_versions_of_programs(text: str, version: str | None) -> None:
    assert parse_version(text) == version


def test_the_lock_is_measured_from_its_request_and_the_snapshot_opened_in_it() -> None:
    told: list[str] = []
    now = [0.0]
    watch = LockWatch(lambda: told.append("snapshot"), told.append, LockLimits(), monotonic=lambda: now[0])
    watch.started(FirstProgram(lambda: told.append("kill"), lambda: told.append("absorb")))
    moments = ((1.0, BLOCKING_COMMITS), (2.0, COMMITS_BLOCKED), (2.25, UNLOCKED), (9.0, "completed OK!"))
    for moment, text in ((0.5, WAITING), (0.6, BEGUN), *moments):
        now[0] = moment
        watch.line(f"[00] 2026-11-23 05:18:20 {text}")
    watch.end()
    assert (told, watch.lock_seconds) == (["absorb", "snapshot"], 1.25)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (BLOCKING_COMMITS, "commits at the source were held up for more than 0.2 s"),
        (WAITING, "another backup of this source, or a LOCK TABLES, held its backup lock for 0.1 s"),
    ],
    ids=["commits", "turn"],
)
def test_a_source_whose_lock_takes_too_long_is_let_go(line: str, what: str, job: BackupJob, programs: Path) -> None:
    text = f"#!/bin/sh\necho '[00] 2026-11-23 05:18:20 {line}' >&2\nexec sleep 60\n"
    write_program(programs / "mariadb-backup", text)
    assert isinstance(job.origin, Server)
    limits = LockLimits(turn=0.1, commits=0.2)
    with pytest.raises(JobFailedError, match=what) as caught:
        produce_backup(job.origin, job.request, lambda _: None, FrameWriter(lambda _: None), limits=limits)
    assert caught.value.code is Code.SOURCE_LOCKED


def test_a_backup_is_a_folder_with_stream_sums_log_and_record(job: BackupJob) -> None:
    record = back_up(job)
    assert (record.state, record.reason, record.code) == (State.DONE, None, None)
    assert (record.kind, record.bytes_raw, record.bytes_stored, record.seconds) == (Kind.FULL, 3000000, 3000000, 1.0)
    stream, sums = record.files
    assert (stream.name, stream.bytes) == ("backup.xb.zst", 3000000)
    assert stream.sha256 == hashlib.sha256(bytes(3000000)).hexdigest()
    assert sums.name == "SHA256SUMS"
    assert record.started_at == "2026-11-23T05:00:00+00:00"
    assert record.tools == {"zstd": "1.5.4", "mariadb-backup": "10.11.19-MariaDB"}
    assert record.to_lsn == 286460722
    assert Record.from_json((job.folder / "record.json").read_text()) == record
    assert [path.name for path in job.target.iterdir()] == ["b1"]
    assert {path.name for path in job.folder.iterdir()} == {
        *("backup.xb.zst", "backup.log", "lsn", "record.json", "SHA256SUMS")
    }
    check = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    assert subprocess.run(check, cwd=job.folder, check=False).returncode == 0


def test_what_a_killed_run_left_is_replaced(job: BackupJob) -> None:
    job.partial.mkdir()
    (job.partial / "backup.xb.zst").write_bytes(b"half")
    assert back_up(job).state is State.DONE
    assert not job.partial.exists()


def test_a_tool_that_ends_well_without_saying_so_has_failed(job: BackupJob, programs: Path) -> None:
    write_program(programs / "mariadb-backup", MARIADB_BACKUP.replace("completed OK!", "lost connection"))
    record = back_up(job)
    assert (record.state, record.code) == (State.FAILED, Code.TOOL_FAILED)
    assert (record.reason or "").startswith("mariadb-backup did not complete: lost connection; ")
    assert list(job.target.iterdir()) == []


def test_a_second_backup_of_the_same_id_is_refused_and_the_first_kept(job: BackupJob) -> None:
    first = back_up(job)
    second = back_up(job)
    assert (second.code, second.reason) == (Code.VOLUME_TAKEN, f"b1 is already in {job.target}; give another id")
    assert Record.from_json((job.folder / "record.json").read_text()) == first


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_credentials_that_others_can_read_are_refused(job: BackupJob, mode: int) -> None:
    credentials = credentials_of(job)
    credentials.chmod(mode)
    record = back_up(job)
    assert record.code == Code.CREDENTIALS
    text = f"credentials file {credentials} has mode {mode:04o}, so others can read it; give a file of mode 0600"
    assert record.reason == text


def test_missing_credentials_are_named(job: BackupJob) -> None:
    credentials_of(job).unlink()
    what = f"credentials file {credentials_of(job)}: No such file or directory"
    assert back_up(job).reason == f"{what}; give a file of mode 0600"


@pytest.mark.parametrize("backup_id", ["", "../b1", ".b1", "a/b", "a b", "b1\n"])
def test_an_id_that_is_no_plain_folder_name_is_refused(job: BackupJob, backup_id: str) -> None:
    odd = make_job(job.target, credentials_of(job), backup_id)
    assert "is no backup id" in (back_up(odd).reason or "")
    assert list(job.target.iterdir()) == []


def test_progress_is_written_every_five_seconds_with_an_estimate() -> None:
    lines: list[str] = []
    times = iter([0.0, 1.0, 5.0, 6.0, 15.0])
    progress = Progress(lines.append, monotonic=lambda: next(times))
    for count in (1, 2):
        progress.update(raw=count * 20_000_000, stored=count * 10_000_000)
    progress.expected_raw = 100_000_000
    for count in (3, 4):
        progress.update(raw=count * 20_000_000, stored=count * 10_000_000)
    assert lines == [
        "40.0 MB read, 20.0 MB stored, 8.0 MB/s\n",
        "80.0 of about 100.0 MB read, 40.0 MB stored, 4.0 MB/s, 5 s to go\n",
    ]


def said(job: BackupJob) -> Values:
    """What the agent's job input takes from the files in the volume; it refuses none of it."""
    found = [parse_job_text(path.read_text()) for path in sorted((job.target / "metrics").iterdir())]
    assert [text.refused for text in found] == [{}] * len(found)
    return {key: value for text in found for key, value in text.values.items()}


def states(values: Values) -> set[str]:
    return {labels[0] for (metric, labels), value in values.items() if metric is STATE and value}


def test_a_good_backup_is_told_with_its_time_and_sizes(job: BackupJob) -> None:
    metrics = MetricsFiles(job.target, datetime(2026, 11, 23, 4, 59, tzinfo=UTC))
    metrics.progress(0, 0)
    assert states(said(job)) == {"started"}
    metrics.ended(back_up(job))
    values = said(job)
    assert states(values) == {"done"}
    assert values[LAST_SUCCESS, ()] == datetime(2026, 11, 23, 5, 0, tzinfo=UTC).timestamp()
    assert values[START, ()] == values[LAST_SUCCESS, ()] - 60
    assert values[DURATION, ()] == 1.0
    assert values[BYTES, ("raw",)] == values[PROGRESS, ("stored",)] == 3000000


def test_an_attempt_that_fails_takes_nothing_from_the_last_good_one(job: BackupJob) -> None:
    MetricsFiles(job.target, datetime(2026, 11, 23, 4, 0, tzinfo=UTC)).ended(back_up(job))
    before = said(job)
    MetricsFiles(job.target, datetime(2026, 11, 23, 6, 0, tzinfo=UTC)).ended(back_up(job))
    values = said(job)
    assert states(values) == {"failed"}
    for key in ((LAST_SUCCESS, ()), (DURATION, ()), (BYTES, ("raw",))):
        assert values[key] == before[key]


@pytest.mark.parametrize(("state", "told"), [("verified", True), ("failed", False)])
def test_only_a_good_verification_is_told_as_one(state: str, told: bool, job: BackupJob) -> None:  # noqa: FBT001 - pytest gives it
    raw = back_up(job).to_json().replace('"kind": "full"', '"kind": "verify"')
    metrics = MetricsFiles(job.target, datetime(2026, 11, 23, 4, 59, tzinfo=UTC))
    metrics.ended(Record.from_json(raw.replace('"state": "done"', f'"state": "{state}"')))
    values = said(job)
    assert ((LAST_VERIFIED, ()) in values) is told
    assert (LAST_SUCCESS, ()) not in values
    assert states(values) == {state}


def test_what_is_expected_and_a_followers_lag_are_told(job: BackupJob) -> None:
    metrics = MetricsFiles(job.target, datetime.now(UTC))
    metrics.progress(5, 2, 100)
    metrics.lag(7.4)
    values = said(job)
    assert (values[EXPECTED, ("raw",)], values[LAG, ()]) == (100.0, 7.0)


def test_a_stream_that_is_whole_is_told_at_once_and_up_to_the_end(job: BackupJob) -> None:
    now = [10.0]
    metrics = MetricsFiles(job.target, datetime.now(UTC), monotonic=lambda: now[0])
    progress = Progress(lambda _: None, metrics)
    progress.update(raw=5, stored=2)
    assert states(said(job)) == {"started"}
    progress.copied()
    assert states(said(job)) == {"copied"}
    now[0] = 20.0
    progress.update(raw=5, stored=2)
    assert states(said(job)) == {"copied"}


def test_a_second_copy_is_told_as_one_and_is_no_backup(job: BackupJob) -> None:
    record = Record.from_json(back_up(job).to_json().replace('"kind": "full"', '"kind": "copy"'))
    MetricsFiles(job.target, datetime.now(UTC)).ended(record)
    values = said(job)
    assert values[LAST_COPY, ()] == datetime(2026, 11, 23, 5, 0, tzinfo=UTC).timestamp()
    assert (LAST_SUCCESS, ()) not in values


def test_progress_is_told_at_the_start_and_then_every_five_seconds(job: BackupJob) -> None:
    now = [10.0]
    metrics = MetricsFiles(job.target, datetime.now(UTC), monotonic=lambda: now[0])
    told = []
    for second in range(12):
        now[0] = 10.0 + second
        metrics.progress(second, second)
        told.append(said(job)[PROGRESS, ("raw",)])
    assert told == [0.0] * 5 + [5.0] * 5 + [10.0] * 2


def test_a_volume_that_takes_no_metrics_costs_no_backup(job: BackupJob) -> None:
    (job.target / "metrics").write_text("in the way")
    metrics = MetricsFiles(job.target, datetime.now(UTC))
    metrics.progress(1, 1)
    metrics.ended(back_up(job, metrics))
    MetricsFiles(job.target / "missing", datetime.now(UTC)).progress(1, 1)
    assert (job.target / "metrics").read_text() == "in the way"
    assert not (job.target / "missing").exists()


def test_sigterm_ends_children_removes_the_partial_folder_and_says_so(
    job: BackupJob, programs: Path, tmp_path: Path
) -> None:
    write_program(programs / "mariadb-backup", f"#!/bin/sh\necho $$ >{tmp_path}/pid\nexec sleep 60\n")
    assert isinstance(job.origin, Server)
    arguments = ["--source=demo", "--backup-id=b1", f"--target={job.target}", f"--socket={job.origin.socket}"]
    more = [f"--defaults-file={job.origin.defaults_file}", "--tables=none"]
    command = [sys.executable, "-m", "runner", "backup", *arguments, *more]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(runner.__file__).parents[1])}
    pid = tmp_path / "pid"
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_until(lambda: pid.exists() and pid.read_text().endswith("\n"), deadline=20, what="the tool runs")
        assert job.partial.is_dir()
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=20)
    assert process.returncode == 1, errors
    record = Record.from_json(output.decode().splitlines()[-1])
    assert (record.state, record.code) == (State.FAILED, Code.TERMINATED)
    assert record.reason == "it was stopped before it was done; place it again"
    assert [path.name for path in job.target.iterdir()] == ["metrics"]
    assert 'state="failed"} 1' in (job.target / "metrics/backup.prom").read_text()
    assert not Path("/proc", pid.read_text().strip()).exists()
