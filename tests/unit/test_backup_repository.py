"""How a copy job tells restic where its repository is, and what it keeps to itself."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from orchestrator.backup.runner.arguments import parse_arguments
from orchestrator.backup.runner.errors import Code, JobFailedError
from orchestrator.backup.runner.jobs import CopyJob
from orchestrator.backup.runner.repository import repository_of, sftp_server
from orchestrator.backup.runner.second_copy import snapshot_saved

COMMON = ["--source=shop", "--backup-id=c1", "--target=/backup", "--backup=/backups/full"]
SECRET = "hush4711"  # noqa: S105 - of no server


def secret(path: Path, mode: int = 0o600) -> Path:
    path.touch(mode=mode)
    path.write_text(SECRET)
    path.chmod(mode)
    return path


def job(folder: Path, to: str, *more: str) -> CopyJob:
    parsed = parse_arguments(["copy", *COMMON, f"--to={to}", f"--password-file={folder / 'password'}", *more])
    assert isinstance(parsed, CopyJob)
    return parsed


def test_no_secret_is_in_a_command_or_in_the_environment(tmp_path: Path) -> None:
    for name in ("password", "key", "s3"):
        secret(tmp_path / name)
    ssh = (f"--ssh-key={tmp_path / 'key'}", "--ssh-known-hosts=/k/hosts")
    for made in (
        job(tmp_path, "/repository"),
        job(tmp_path, "sftp:b@far:/srv", *ssh),
        job(tmp_path, "s3:https://far/vault", f"--s3-credentials={tmp_path / 's3'}", "--s3-ca=/k/ca"),
    ):
        found = repository_of(made, tmp_path)
        assert not any(SECRET in word for word in (*found.command, *found.environment.values()))
    assert found.environment["AWS_SHARED_CREDENTIALS_FILE"] == str(tmp_path / "s3")
    assert found.environment["TMPDIR"] == str(tmp_path)
    assert found.command[-2:] == ("--cacert", "/k/ca")


@pytest.mark.parametrize("name", ["password", "key", "s3"])
def test_a_secret_that_others_can_read_is_refused(name: str, tmp_path: Path) -> None:
    for each in ("password", "key", "s3"):
        secret(tmp_path / each, 0o644 if each == name else 0o600)
    made = job(
        tmp_path,
        "/repository",
        f"--ssh-key={tmp_path / 'key'}",
        "--ssh-known-hosts=/k",
        f"--s3-credentials={tmp_path / 's3'}",
    )
    with pytest.raises(JobFailedError, match="has mode 0644, so others can read it") as caught:
        repository_of(made, tmp_path)
    assert caught.value.code is Code.CREDENTIALS


@pytest.mark.parametrize(
    ("repository", "words"),
    [
        ("sftp:b@far:/srv", ("b@far",)),
        ("sftp:far:srv", ("far",)),
        ("sftp://b@far//srv", ("b@far",)),
        ("sftp://b@far:2222//srv", ("-p", "2222", "b@far")),
        ("sftp://b@[2001:db8::1]:2222//srv", ("-p", "2222", "b@2001:db8::1")),
    ],
)
def test_ssh_is_told_host_port_and_user(repository: str, words: tuple[str, ...]) -> None:
    assert sftp_server(repository) == words


def test_what_restic_prints_tells_how_far_it_is_and_the_snapshot() -> None:
    output = (
        b"no parent snapshot found, will read all files\n"
        b"[0:00] 0 files 23.912 MiB, total 1 files 286.102 MiB, 0 errors\n"
        b"[0:01] 18.49%  0 files 52.901 MiB, total 1 files 286.102 MiB, 0 errors ETA 0:06\n/backups/big\n"
        b"[1:02:03] 100.00%  1 files 286.102 MiB, total 1 files 286.102 MiB, 0 errors\n"
        b"\nAdded to the repository: 1.0 MiB\n\nsnapshot 40dc1520 saved\n"
    )
    told: list[float] = []
    assert snapshot_saved(io.BytesIO(output), report=told.append) == "40dc1520"
    assert told == pytest.approx([0.1849, 1.0])
    assert snapshot_saved(io.BytesIO(b"Fatal: no\n"), report=told.append) is None


@pytest.mark.parametrize(
    ("to", "complaint"),
    [
        ("sftp:b@far:/srv", "a copy by sftp needs --ssh-key and --ssh-known-hosts"),
        ("s3:https://far/vault", "a copy to an object store needs --s3-credentials"),
    ],
    ids=["sftp", "s3"],
)
def test_a_copy_without_its_keys_is_no_command_line(
    to: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        job(tmp_path, to)
    assert complaint in capsys.readouterr().err
