"""Second copies in a folder, over SFTP and in an object store: read back, restored from when the first is lost."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator.backup.runner.errors import Code
from orchestrator.backup.runner.record import Record, State
from tests.support.mariadb import MariaDB, backup, chain, checksums, common, fill, restored_checksums, run_job, source
from tests.support.object_store import object_store
from tests.support.sshd import ssh_key, sshd

BUCKET = "vault"


@dataclass(frozen=True)
class Elsewhere:
    """A place for copies.

    Attributes:
        options: of the job.
        reach: what restic itself needs to get there.
        files: how many files there are.
        damage: flips a byte in the largest file.
        strangers: options with keys that are not let in, if there are any.
    """

    options: tuple[str, ...]
    reach: tuple[str, ...]
    files: Callable[[], int]
    damage: Callable[[], object]
    environment: dict[str, str] = field(default_factory=dict)
    strangers: tuple[str, ...] = ()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, empty_data: Path) -> Iterator[MariaDB]:
    with source(tmp_path_factory.mktemp("source"), empty_data) as server:
        fill(server, 500)
        yield server


@pytest.fixture
def volume(shop: MariaDB, tmp_path: Path) -> Path:
    """A volume with the backups `full` and `inc1`."""
    made = tmp_path / "volume"
    made.mkdir()
    full = backup(shop, made, "full")
    shop.sql("UPDATE shop.items SET name = UUID() WHERE id < 50")
    backup(shop, made, "inc1", "--parent=full", f"--from-lsn={full.to_lsn}")
    return made


@pytest.fixture
def password(tmp_path: Path) -> Path:
    return secret(tmp_path / "password", "another secret\n")


@pytest.fixture
def folder(tmp_path: Path) -> Elsewhere:
    there = tmp_path / "elsewhere"
    return Elsewhere((f"--to={there}",), ("--repo", str(there)), lambda: count(there), lambda: spoil(there))


@pytest.fixture
def sftp(tmp_path: Path) -> Iterator[Elsewhere]:
    """A real sshd, on a port of its own."""
    there, keys = tmp_path / "elsewhere", tmp_path / "keys"
    keys.mkdir()
    user, stranger = ssh_key(keys / "user"), ssh_key(keys / "stranger")
    with sshd(keys, f"restrict {user.with_suffix('.pub').read_text()}") as server:
        to, known = f"sftp://root@127.0.0.1:{server.port}/{there}", server.known_hosts
        options = (f"--to={to}", f"--ssh-known-hosts={known}")
        words = ("ssh", "-p", str(server.port), "-i", str(user), "-o", f"UserKnownHostsFile={known}", "root@127.0.0.1")
        command = f"sftp.command={shlex.join((*words, '-s', 'sftp'))}"
        yield Elsewhere(
            (*options, f"--ssh-key={user}"),
            ("--repo", to, "--option", command),
            lambda: count(there),
            lambda: spoil(there),
            strangers=(*options, f"--ssh-key={stranger}"),
        )


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[Elsewhere]:
    """An object store that checks its keys, over TLS."""
    home = tmp_path / "store"
    home.mkdir()
    with object_store(home) as store:
        to = f"s3:{store.url}/{BUCKET}/shop"
        options = (f"--to={to}", f"--s3-ca={store.ca}")
        wrong = secret(home / "wrong", store.credentials.read_text()[:-5] + "xxxx\n")
        yield Elsewhere(
            (*options, f"--s3-credentials={store.credentials}"),
            ("--repo", to, "--cacert", str(store.ca)),
            lambda: count(store.folder),
            lambda: spoil(store.folder / BUCKET / "shop"),
            {"AWS_SHARED_CREDENTIALS_FILE": str(store.credentials)},
            (*options, f"--s3-credentials={wrong}"),
        )


@pytest.fixture(params=["folder", "sftp", "s3"])
def elsewhere(request: pytest.FixtureRequest) -> Elsewhere:
    found: Elsewhere = request.getfixturevalue(request.param)
    return found


def secret(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def count(there: Path) -> int:
    return sum(path.is_file() for path in there.rglob("*"))


def spoil(there: Path) -> None:
    pack = max((there / "data").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    pack.chmod(0o600)
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 1
    pack.write_bytes(content)


def copy(volume: Path, name: str, password: Path, options: tuple[str, ...]) -> Record:
    """A copy job, whose own volume is beside that of the backup."""
    job = volume.with_name("job")
    job.mkdir(exist_ok=True)
    return run_job("copy", *common(job, name), *chain(volume, "full", "inc1"), f"--password-file={password}", *options)


def test_a_second_copy_is_read_back_and_restores_when_the_first_is_lost(
    elsewhere: Elsewhere, shop: MariaDB, volume: Path, password: Path, tmp_path: Path
) -> None:
    record = copy(volume, "c1", password, elsewhere.options)
    assert record.reason is None, record.reason
    stored = [Record.from_json((volume / name / "record.json").read_text()).bytes_stored for name in ("full", "inc1")]
    assert (record.parent, record.bytes_stored) == ("inc1", sum(stored))
    assert "vdbmon_backup_last_copy_timestamp_seconds " in (tmp_path / "job/metrics/copy.prom").read_text()
    assert {path.name for path in (tmp_path / "job/c1").iterdir()} == {"record.json"}
    files = elsewhere.files()
    again = copy(volume, "c2", password, elsewhere.options)
    assert again.reason is None, again.reason
    assert elsewhere.files() - files < 8, "what is there already is not sent again"

    shutil.rmtree(volume)
    restic = ["restic", *elsewhere.reach, "--password-file", str(password), "--no-cache"]
    for name in ("full", "inc1"):
        subprocess.run(
            [*restic, "restore", "latest", "--tag", f"backup={name}", "--target", str(tmp_path / "back")],
            check=True,
            capture_output=True,
            env={**os.environ, **elsewhere.environment},
        )
    back, target = tmp_path / "back" / volume.relative_to("/"), tmp_path / "target"
    target.mkdir()
    restored = run_job("restore", *common(target, "r1"), *chain(back, "full", "inc1"))
    assert restored.reason is None, restored.reason
    assert restored_checksums(target, restored) == checksums(shop.socket)


def test_a_damaged_copy_is_found(elsewhere: Elsewhere, volume: Path, password: Path, tmp_path: Path) -> None:
    assert copy(volume, "c1", password, elsewhere.options).reason is None
    elsewhere.damage()
    record = copy(volume, "c2", password, elsewhere.options)
    assert (record.state, record.code) == (State.FAILED, Code.COPY_FAILED), record.reason
    assert re.match(f"the copy of {volume}/full in .* can't be read back: ", record.reason or ""), record.reason
    assert not (tmp_path / "job/c2").exists()


@pytest.mark.parametrize("place", ["sftp", "s3"])
def test_keys_that_are_not_let_in_are_the_reason(
    place: str, request: pytest.FixtureRequest, volume: Path, password: Path
) -> None:
    elsewhere: Elsewhere = request.getfixturevalue(place)
    record = copy(volume, "c1", password, elsewhere.strangers)
    assert (record.state, record.code) == (State.FAILED, Code.COPY_FAILED), record.reason
    assert " can't be opened: " in (record.reason or "")
    assert (record.reason or "").endswith("; check its keys and their rights")


def test_another_password_makes_no_second_repository(
    folder: Elsewhere, volume: Path, password: Path, tmp_path: Path
) -> None:
    assert copy(volume, "c1", password, folder.options).reason is None
    files = folder.files()
    record = copy(volume, "c2", secret(tmp_path / "other", "wrong\n"), folder.options)
    assert record.code == Code.WRONG_KEY
    assert folder.files() == files
