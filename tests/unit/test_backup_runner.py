"""The runner of the backup image: record, facts, one backup and what it tells; programs are scripts here."""

from __future__ import annotations

import ast
import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.inputs.job import BYTES, DURATION, LAST_SUCCESS, PROGRESS, START, STATE, Values, parse_job_text
from orchestrator.backup import runner
from orchestrator.backup.runner.facts import last_message, parse_facts, parse_zstd_version, succeeded
from orchestrator.backup.runner.job import BackupJob, ProgressLine, run_backup
from orchestrator.backup.runner.metrics import MetricsFiles
from orchestrator.backup.runner.record import Record, State

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
for option; do case $option in --extra-lsndir=*) lsn=${{option#*=}} ;; esac; done
mkdir "$lsn" && cat >"$lsn/xtrabackup_info" <<'END'
{INFO}END
head -c 3000000 /dev/zero
cat >&2 <<'END'
{LOG}END
"""
ZSTD = """#!/bin/sh
case $1 in --version) echo '*** Zstandard CLI (64-bit) v1.5.4, by Yann Collet ***' ;; *) exec cat ;; esac
"""


def write_program(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def job(tmp_path: Path) -> BackupJob:
    target, credentials = tmp_path / "volume", tmp_path / "source.cnf"
    target.mkdir()
    credentials.write_text("[client]\nuser=backup\npassword=secret\n")
    credentials.chmod(0o600)
    return BackupJob(
        source="demo",
        backup_id="b1",
        target=target,
        socket=tmp_path / "mysqld.sock",
        defaults_file=credentials,
        programs=(
            write_program(tmp_path / "mariadb-backup", MARIADB_BACKUP),
            write_program(tmp_path / "zstd", ZSTD),
        ),
    )


def back_up(job: BackupJob) -> Record:
    seconds = itertools.count(100.0)
    return run_backup(
        job,
        ProgressLine(lambda _: None),
        commit=lambda: None,
        now=lambda: datetime(2026, 11, 23, 5, 0, tzinfo=UTC),
        monotonic=lambda: next(seconds),
    )


def test_the_package_imports_only_the_standard_library_and_itself() -> None:
    for path in Path(runner.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level <= 1
                names = [node.module or ""] if node.level == 0 else []
            assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names, path.name


texts = st.text(max_size=20)
counts = st.integers(0, 2**63)
records = st.builds(
    Record,
    state=st.sampled_from(State),
    format=st.just(1),
    seconds=st.floats(0, 1e6),
    **dict.fromkeys(("bytes_raw", "bytes_stored"), counts),
    **dict.fromkeys(("backup_id", "source", "started_at", "finished_at", "kind"), texts),
    **{name: st.none() | counts for name in ("from_lsn", "to_lsn", "binlog_position", "lock_seconds")},
    **{name: st.none() | texts for name in ("sha256", "reason", "zstd_version", "server_version", "gtid")},
)


@given(records)
def test_a_record_survives_json_in_one_line(record: Record) -> None:
    text = record.to_json()
    assert "\n" not in text
    assert Record.from_json(text) == record


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"format": 2}, "format 2; this version reads 1"),
        ({"extra": 1}, "unknown keys: extra"),
        ({"bytes_raw": "12"}, "wrong type: bytes_raw"),
        ({"state": "running"}, "'running' is not a valid State"),
    ],
)
def test_a_record_of_another_shape_is_refused_by_name(
    job: BackupJob, change: dict[str, object], complaint: str
) -> None:
    raw = json.loads(back_up(job).to_json())
    with pytest.raises(ValueError, match=complaint):
        Record.from_json(json.dumps(raw | change))


@pytest.mark.parametrize("text", ["", "[]", "{}", '"done"'])
def test_text_that_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Record.from_json(text)


def test_facts_come_from_the_tools_info_and_log() -> None:
    facts = parse_facts(INFO, LOG)
    assert (facts.server_version, facts.backup_tool_version) == ("10.11.19-MariaDB-0+deb12u1-log", "10.11.19-MariaDB")
    assert (facts.from_lsn, facts.to_lsn) == (0, 286460722)
    assert (facts.binlog_file, facts.binlog_position, facts.gtid) == ("binlog.000001", 1192, "0-1-4")
    assert facts.lock_seconds == 3


def test_a_server_without_binary_log_has_no_position() -> None:
    facts = parse_facts("binlog_pos = \ninnodb_to_lsn = x\n", "no lock lines")
    assert {getattr(facts, field.name) for field in fields(facts)} == {None}


@given(st.text(), st.text())
def test_facts_of_any_text_never_raise(info: str, log: str) -> None:
    parse_facts(info, log)


def test_only_the_last_line_says_success() -> None:
    assert succeeded(LOG)
    assert not succeeded(LOG + "[00] 2026-11-23 05:18:24 Error: lost connection\n")
    assert not succeeded("")


def test_last_message_drops_thread_and_time() -> None:
    assert last_message("x\n[00] 2026-11-23 05:18:20 Failed to connect: denied\n\n") == "Failed to connect: denied"
    assert last_message("2026-11-23  5:18:18 0 [ERROR] InnoDB: gone\n") == "[ERROR] InnoDB: gone"
    assert last_message("") == "no message"


def test_zstd_version() -> None:
    assert parse_zstd_version("*** Zstandard CLI (64-bit) v1.5.4, by Yann Collet ***\n") == "1.5.4"
    assert parse_zstd_version("something else") is None


def test_a_backup_is_a_folder_with_stream_log_and_record(job: BackupJob) -> None:
    record = back_up(job)
    assert record.state is State.DONE, record.reason
    assert record.reason is None
    assert (record.bytes_raw, record.bytes_stored, record.seconds) == (3000000, 3000000, 1.0)
    assert record.sha256 == hashlib.sha256(bytes(3000000)).hexdigest()
    assert (record.started_at, record.zstd_version) == ("2026-11-23T05:00:00+00:00", "1.5.4")
    assert record.to_lsn == 286460722
    assert Record.from_json((job.folder / "record.json").read_text()) == record
    assert [path.name for path in job.target.iterdir()] == ["b1"]
    assert {path.name for path in job.folder.iterdir()} == {"backup.xb.zst", "backup.log", "lsn", "record.json"}


def test_what_a_killed_run_left_is_replaced(job: BackupJob) -> None:
    job.partial.mkdir()
    (job.partial / "backup.xb.zst").write_bytes(b"half")
    assert back_up(job).state is State.DONE
    assert not job.partial.exists()


def test_a_tool_that_ends_well_without_saying_so_has_failed(job: BackupJob) -> None:
    script = Path(job.programs[0])
    script.write_text(MARIADB_BACKUP.replace("completed OK!", "lost connection"))
    record = back_up(job)
    assert record.state is State.FAILED
    assert record.reason == f"{script} did not complete: lost connection"
    assert list(job.target.iterdir()) == []


def test_a_second_backup_of_the_same_id_is_refused_and_the_first_kept(job: BackupJob) -> None:
    first = back_up(job)
    second = back_up(job)
    assert second.reason == f"backup b1 is already in {job.target}"
    assert Record.from_json((job.folder / "record.json").read_text()) == first


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_credentials_that_others_can_read_are_refused(job: BackupJob, mode: int) -> None:
    job.defaults_file.chmod(mode)
    assert back_up(job).reason == (
        f"credentials file {job.defaults_file} has mode {mode:04o}; it must be a file of mode 0600"
    )


def test_missing_credentials_are_named(job: BackupJob) -> None:
    job.defaults_file.unlink()
    assert back_up(job).reason == f"credentials file {job.defaults_file}: No such file or directory"


@pytest.mark.parametrize("backup_id", ["", "../b1", ".b1", "a/b", "a b", "b1\n"])
def test_an_id_that_is_no_plain_folder_name_is_refused(job: BackupJob, backup_id: str) -> None:
    odd = BackupJob(
        source=job.source,
        backup_id=backup_id,
        target=job.target,
        socket=job.socket,
        defaults_file=job.defaults_file,
        programs=job.programs,
    )
    assert "is no backup id" in (back_up(odd).reason or "")
    assert list(job.target.iterdir()) == []


def test_progress_is_written_every_five_seconds() -> None:
    lines: list[str] = []
    times = iter([0.0, 1.0, 5.0, 6.0, 15.0])
    progress = ProgressLine(lines.append, monotonic=lambda: next(times))
    for count in (1, 2, 3, 4):
        progress(count * 20_000_000, count * 10_000_000)
    assert lines == ["40.0 MB read, 20.0 MB stored, 4.0 MB/s\n", "80.0 MB read, 40.0 MB stored, 2.0 MB/s\n"]


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
    metrics.ended(back_up(job))
    MetricsFiles(job.target / "missing", datetime.now(UTC)).progress(1, 1)
    assert (job.target / "metrics").read_text() == "in the way"
    assert not (job.target / "missing").exists()


def test_sigterm_ends_children_removes_the_partial_folder_and_says_so(job: BackupJob, tmp_path: Path) -> None:
    write_program(Path(job.programs[0]), f"#!/bin/sh\necho $$ >{tmp_path}/pid\nexec sleep 60\n")
    arguments = ["--source=demo", "--backup-id=b1", f"--target={job.target}", f"--socket={job.socket}"]
    command = [sys.executable, "-m", "runner", "backup", *arguments, f"--defaults-file={job.defaults_file}"]
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(Path(runner.__file__).parents[1])}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 20
        while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n")):
            assert time.monotonic() < deadline
            assert process.poll() is None
        assert job.partial.is_dir()
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=20)
    assert process.returncode == 1, errors
    record = Record.from_json(output.decode().splitlines()[-1])
    assert (record.state, record.reason) == (State.FAILED, "terminated")
    assert [path.name for path in job.target.iterdir()] == ["metrics"]
    assert 'state="failed"} 1' in (job.target / "metrics/backup.prom").read_text()
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()
