"""What the runner's record and its command line say, and what they refuse."""

from __future__ import annotations

import ast
import json
import re
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.backup import runner
from orchestrator.backup.runner.arguments import parse_arguments
from orchestrator.backup.runner.errors import REMEDIES, Code, JobFailedError
from orchestrator.backup.runner.jobs import BackupJob, BackupRequest, PointInTime, RestoreJob, Server, Ssh, TableDetail
from orchestrator.backup.runner.record import Kind, Peaks, Record, State, StoredFile

COMMON = ["--source=shop", "--backup-id=b1", "--target=/backup"]
SERVER = ["--socket=/run/s", "--defaults-file=/run/f"]
FORMAT_1 = {
    "format": 1,
    "kind": "full",
    "backup_id": "b1",
    "source": "demo",
    "state": "done",
    "started_at": "2026-11-23T05:00:00+00:00",
    "finished_at": "2026-11-23T05:00:03+00:00",
    "seconds": 3.0,
    "bytes_raw": 10,
    "bytes_stored": 5,
    "sha256": "abc",
    "reason": None,
    "zstd_version": "1.5.4",
    "server_version": "10.11.19-MariaDB",
    "backup_tool_version": "10.11.19-MariaDB",
    "from_lsn": 0,
    "to_lsn": 99,
    "binlog_file": "binlog.000001",
    "binlog_position": 4,
    "gtid": "0-1-4",
    "lock_seconds": 3,
}

texts = st.text(max_size=20)
counts = st.integers(0, 2**63)
seconds = st.floats(0, 1e6)
rates = st.none() | counts
records = st.builds(
    Record,
    kind=st.sampled_from(Kind),
    state=st.sampled_from(State),
    format=st.just(2),
    seconds=seconds,
    files=st.lists(st.builds(StoredFile, name=texts, bytes=counts, sha256=texts), max_size=3).map(tuple),
    recipients=st.lists(texts, max_size=3).map(tuple),
    tables=counts,
    tools=st.dictionaries(texts, texts, max_size=3),
    peaks=st.none()
    | st.builds(
        Peaks,
        cpu=st.none() | seconds,
        memory=rates,
        read_bps=rates,
        write_bps=rates,
        network_in_bps=rates,
        network_out_bps=rates,
    ),
    lock_seconds=st.none() | seconds,
    **dict.fromkeys(("bytes_raw", "bytes_stored"), counts),
    **dict.fromkeys(("backup_id", "source", "started_at", "finished_at"), texts),
    **{name: st.none() | counts for name in ("from_lsn", "to_lsn", "binlog_position")},
    **{name: st.none() | texts for name in ("parent", "code", "reason", "restored_to", "server_version", "gtid")},
)


def test_the_package_imports_only_the_standard_library_and_itself() -> None:
    for path in Path(runner.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level <= 1
                names = [node.module or ""] if node.level == 0 else []
            assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names, path.name


@given(records)
def test_a_record_survives_json_in_one_line(record: Record) -> None:
    text = record.to_json()
    assert "\n" not in text
    assert Record.from_json(text) == record


def test_a_record_of_the_first_format_is_still_a_good_backup() -> None:
    record = Record.from_json(json.dumps(FORMAT_1))
    assert (record.format, record.kind, record.state, record.to_lsn) == (2, Kind.FULL, State.DONE, 99)
    assert record.files == (StoredFile(name="backup.xb.zst", bytes=5, sha256="abc"),)
    assert record.tools == {"mariadb-backup": "10.11.19-MariaDB", "zstd": "1.5.4"}
    assert record.stream_name == "backup.xb.zst"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"format": 3}, "format 3; this version reads 1 and 2"),
        ({"extra": 1}, "unknown keys: extra"),
        ({"bytes_raw": "12"}, "bytes_raw is of a wrong type"),
        ({"bytes_raw": True}, "bytes_raw is of a wrong type"),
        ({"files": [{"name": "x"}]}, "files has missing or unknown keys: bytes, sha256"),
        ({"tools": {"zstd": 1}}, "tools is of a wrong type"),
        ({"peaks": 5}, "peaks is a JSON object"),
        ({"state": "running"}, "'running' is not a valid State"),
    ],
)
def test_a_record_of_another_shape_is_refused_by_name(change: dict[str, object], complaint: str) -> None:
    raw = asdict(Record.from_json(json.dumps(FORMAT_1)))
    with pytest.raises(ValueError, match=complaint):
        Record.from_json(json.dumps(raw | change))


@pytest.mark.parametrize("text", ["", "[]", "{}", '"done"', '{"format": 1}'])
def test_text_that_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Record.from_json(text)


def test_a_full_backup_of_a_local_server() -> None:
    job = parse_arguments(["backup", *COMMON, *SERVER])
    assert job == BackupJob(
        source="shop",
        backup_id="b1",
        target=Path("/backup"),
        origin=Server(socket=Path("/run/s"), defaults_file=Path("/run/f")),
        request=BackupRequest(table_detail=TableDetail.CHECKSUMS),
    )
    assert job.kind is Kind.FULL


def test_an_encrypted_increment_from_a_source_reached_by_ssh(tmp_path: Path) -> None:
    key = "age1" + "q" * 58
    (tmp_path / "keys").write_text(f"# recovery\n{key}\n\n")
    ssh = ["--ssh=backup@db1", "--ssh-key=/run/k", "--ssh-known-hosts=/run/h"]
    more = ["--parent=b0", "--from-lsn=77", "--tables=rows", "--throttle=5", f"--recipients={tmp_path / 'keys'}"]
    job = parse_arguments(["backup", *COMMON, *ssh, *more])
    assert isinstance(job, BackupJob)
    assert job.origin == Ssh(destination="backup@db1", port=22, key=Path("/run/k"), known_hosts=Path("/run/h"))
    assert job.request == BackupRequest(from_lsn=77, recipients=(key,), throttle=5, table_detail=TableDetail.ROWS)
    assert (job.kind, job.parent) == (Kind.INCREMENTAL, "b0")


def test_a_restore_to_a_moment_of_a_chain() -> None:
    more = ["--backup=/a/full", "--backup=/b/inc", "--binlogs=/c/log", "--until-time=2026-11-23 05:00:00"]
    job = parse_arguments(["restore", *COMMON, *more])
    assert isinstance(job, RestoreJob)
    assert job.backups == (Path("/a/full"), Path("/b/inc"))
    assert job.until == PointInTime(time="2026-11-23 05:00:00")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["backup", *COMMON], "give --socket or --host"),
        (["backup", *COMMON, "--socket=/s"], "give --defaults-file"),
        (["backup", *COMMON, "--host=db1", "--defaults-file=/f"], "a server elsewhere needs --ssh or --tls"),
        (["backup", *COMMON, *SERVER, "--parent=b0"], "--parent and --from-lsn go together"),
        (["backup", *COMMON, "--ssh=x@y"], "--ssh needs --ssh-key and --ssh-known-hosts"),
        (["backup", *COMMON, "--tls=db1"], "'db1' is no HOST:PORT"),
        (["backup", *COMMON, "--tls=db1:3307"], "TLS needs --tls-ca"),
        (["backup", *COMMON, *SERVER, "--recipients=/no/such"], "--recipients /no/such: No such file"),
        (["restore", *COMMON, "--backup=/a", "--until-time=2026-11-23 05:00:00"], "needs --binlogs"),
        (["restore", *COMMON, "--backup=/a", "--binlogs=/b", "--until-time=noon"], "'noon' is not as"),
        (["restore", *COMMON], "the following arguments are required: --backup"),
        (["destroy", *COMMON], "invalid choice: 'destroy'"),
    ],
    ids=range(12),
)
def test_a_wrong_command_line_says_what_is_wrong(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_arguments(arguments)
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "# only a comment\n", "AGE-SECRET-KEY-1QQQ\n", "age1short\n"])
def test_recipients_that_are_no_public_keys_are_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(SystemExit):
        parse_arguments(["backup", *COMMON, *SERVER, f"--recipients={tmp_path / 'keys'}"])
    assert "--recipients" in capsys.readouterr().err


def test_every_code_of_failure_says_what_to_do_in_one_line() -> None:
    assert set(REMEDIES) == set(Code)
    for code in Code:
        reason = JobFailedError(code, "a table\n  is gone").reason
        assert reason == f"a table is gone; {REMEDIES[code]}"


def test_every_code_of_failure_is_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs/backup_jobs.md").read_text()
    section = page.partition("## Why a job failed")[2].partition("\n## ")[0]
    first_cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    listed = {code for cell in first_cells for code in re.findall(r"`([^`]+)`", cell)}
    assert listed == {code.value for code in Code}
