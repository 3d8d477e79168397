"""What can go wrong with backups of a real server: each is found, named, and costs no earlier backup."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from orchestrator.backup.runner.errors import Code
from orchestrator.backup.runner.record import Record, State, StoredFile
from orchestrator.host.volumes import LoopVolumes
from tests.support.mariadb import (
    MariaDB,
    backup,
    chain,
    common,
    fill,
    make_age_key,
    run_job,
    runner_command,
    runner_environment,
    running,
    source,
)
from tests.support.wait import wait_until

STREAM = "backup.xb.zst"


@dataclass(frozen=True)
class Shelf:
    """A source, and its backups `full`, `inc1`, `inc2` and the encrypted `secret` in a volume nobody may change."""

    server: MariaDB
    volume: Path
    identity: Path


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, empty_data: Path, age_key: Path) -> Iterator[Shelf]:
    volume, folder = tmp_path_factory.mktemp("volume"), tmp_path_factory.mktemp("source")
    with source(folder, empty_data) as server:
        fill(server, 3000)
    # Started anew: the rows are in the pages then, and not in the log as well, which would mend a damaged page.
    with running(folder, "--log-bin=binlog", "--server-id=1") as server:
        lsn = backup(server, volume, "full").to_lsn
        for number in (1, 2):
            server.sql("UPDATE shop.items SET name = UUID() WHERE id < 50")
            parent = "full" if number == 1 else "inc1"
            lsn = backup(server, volume, f"inc{number}", f"--parent={parent}", f"--from-lsn={lsn}").to_lsn
        backup(server, volume, "secret", f"--recipients={age_key.parent / 'recipients'}")
        yield Shelf(server, volume, age_key)


@pytest.fixture
def shop(tmp_path: Path, empty_data: Path) -> Iterator[MariaDB]:
    """A source that may be killed."""
    folder = tmp_path / "source"
    folder.mkdir()
    with source(folder, empty_data) as server:
        fill(server, 20_000)
        yield server


@pytest.fixture
def damaged(shelf: Shelf, tmp_path: Path) -> Path:
    """A copy of the volume that may be damaged."""
    copy = tmp_path / "damaged"
    shutil.copytree(shelf.volume, copy)
    return copy


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 100)


def states(volume: Path) -> list[str]:
    lines = (volume / "metrics/backup.prom").read_text().splitlines()
    return [line for line in lines if line.startswith("vdbmon_backup_state") and line.endswith(" 1")]


def failed(record: Record, code: Code, reason: str, volume: Path) -> None:
    """It failed so, says so, and left nothing that looks whole."""
    assert (record.state, record.code) == (State.FAILED, code), record.reason
    assert reason in (record.reason or "")
    assert not (volume / record.backup_id).exists()
    assert not (volume / f".{record.backup_id}.partial").exists()
    assert states(volume) == ['vdbmon_backup_state{state="failed"} 1']


@pytest.mark.parametrize(("harm", "name"), [(flip, STREAM), (cut, STREAM), (Path.unlink, STREAM), (flip, "SHA256SUMS")])
@pytest.mark.parametrize("job", ["restore", "verify"])
def test_a_damaged_file_is_found(
    harm: Callable[[Path], object], name: str, job: str, damaged: Path, tmp_path: Path
) -> None:
    harm(damaged / "full" / name)
    record = run_job(job, *common(tmp_path, "r1"), *chain(damaged, "full"))
    failed(record, Code.BACKUP_DAMAGED, f"{damaged / 'full' / name}", tmp_path)
    beside = damaged / "full.verified.json"
    assert beside.exists() == (job == "verify")
    if beside.exists():
        assert Record.from_json(beside.read_text()).state is State.FAILED


def test_a_missing_increment_is_found(shelf: Shelf, tmp_path: Path) -> None:
    record = run_job("restore", *common(tmp_path, "r1"), *chain(shelf.volume, "full", "inc2"))
    failed(record, Code.BACKUP_CHAIN, "increment inc2 builds on inc1", tmp_path)


def test_an_increment_alone_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    record = run_job("restore", *common(tmp_path, "r1"), *chain(shelf.volume, "inc1"))
    failed(record, Code.BACKUP_CHAIN, "give its parent full first", tmp_path)


def test_a_wrong_key_is_told_from_damage(shelf: Shelf, tmp_path: Path) -> None:
    other = make_age_key(tmp_path)
    record = run_job("restore", *common(tmp_path, "r1"), *chain(shelf.volume, "secret"), f"--identity={other}")
    failed(record, Code.WRONG_KEY, "no identity matched", tmp_path)


def test_an_encrypted_backup_needs_a_key(shelf: Shelf, tmp_path: Path) -> None:
    record = run_job("restore", *common(tmp_path, "r1"), *chain(shelf.volume, "secret"))
    failed(record, Code.WRONG_KEY, "and no key is given; give the private key", tmp_path)


def test_damage_of_an_encrypted_backup_is_no_wrong_key(shelf: Shelf, damaged: Path, tmp_path: Path) -> None:
    flip(damaged / "secret" / f"{STREAM}.age")
    identity = f"--identity={shelf.identity}"
    record = run_job("restore", *common(tmp_path, "r1"), *chain(damaged, "secret"), identity)
    failed(record, Code.BACKUP_DAMAGED, "its SHA-256 differs", tmp_path)


def test_a_partial_folder_is_no_backup(damaged: Path, tmp_path: Path) -> None:
    (damaged / "full/record.json").unlink()
    record = run_job("restore", *common(tmp_path, "r1"), *chain(damaged, "full"))
    failed(record, Code.BACKUP_UNFINISHED, "holds no whole backup", tmp_path)


def resign(folder: Path, name: str) -> None:
    """Make the sums and the record agree with a changed file: damage that came before the writing."""
    digests = {}
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        digest, _, path = line.partition("  ")
        digests[path] = hashlib.sha256((folder / name).read_bytes()).hexdigest() if path == name else digest
    text = "".join(f"{digest}  {path}\n" for path, digest in digests.items())
    (folder / "SHA256SUMS").write_text(text)
    raw = json.loads((folder / "record.json").read_text())
    sums = StoredFile(name="SHA256SUMS", bytes=len(text), sha256=hashlib.sha256(text.encode()).hexdigest())
    raw["files"] = [file for file in raw["files"] if file["name"] != "SHA256SUMS"] + [asdict(sums)]
    (folder / "record.json").write_text(json.dumps(raw))


def test_rows_that_differ_from_the_source_are_found(damaged: Path, tmp_path: Path) -> None:
    path = damaged / "full/tables.json"
    tables = json.loads(path.read_text())
    tables[1]["checksum"] += 1
    path.write_text(json.dumps(tables))
    resign(damaged / "full", "tables.json")
    record = run_job("verify", *common(tmp_path, "v1"), *chain(damaged, "full"))
    failed(record, Code.TABLE_DIFFERS, "table shop.items has 1000 rows and checksum", tmp_path)


def test_a_page_that_was_damaged_before_it_was_written_is_found(damaged: Path, tmp_path: Path) -> None:
    unpacked, stream = tmp_path / "unpacked", damaged / "full" / STREAM
    unpacked.mkdir()
    subprocess.run(f"zstd -qdc {stream} | mbstream -x -C {unpacked}", shell=True, check=True)  # noqa: S602 - a pipe of our own
    with (unpacked / "shop/orders.ibd").open("r+b") as file:
        file.seek(20 * 16384 + 8000)
        file.write(b"\xff" * 64)
    files = sorted(str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file())
    packed = subprocess.run(["mbstream", "-c", *files], cwd=unpacked, check=True, capture_output=True).stdout
    stream.write_bytes(subprocess.run(["zstd", "-qc"], input=packed, check=True, capture_output=True).stdout)
    resign(damaged / "full", STREAM)
    record = run_job("verify", *common(tmp_path, "v1"), *chain(damaged, "full"))
    failed(record, Code.TABLE_DAMAGED, "table shop.orders is damaged: ", tmp_path)
    assert Record.from_json((damaged / "full.verified.json").read_text()).state is State.FAILED


def test_a_source_that_dies_half_way_fails_the_backup_and_keeps_the_earlier(shop: MariaDB, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    good = backup(shop, volume, "good")
    with started(shop, volume, "--throttle=1") as job:
        await_growth(volume)
        shop.process.send_signal(signal.SIGKILL)
        record = outcome(job)
    assert record.code in (Code.TOOL_FAILED, Code.SOURCE_LOST), record.reason
    failed(record, Code(record.code), "", volume)
    assert run_job("verify", *common(tmp_path, "v1"), *chain(volume, "good")).state is State.VERIFIED
    assert f'vdbmon_backup_bytes{{kind="stored"}} {good.bytes_stored}' in (volume / "metrics/success.prom").read_text()


def test_a_full_volume_fails_the_backup_and_keeps_the_earlier(shelf: Shelf, tmp_path: Path) -> None:
    volumes = LoopVolumes(tmp_path / "volumes")
    made = volumes.create("small", 16 << 20)
    try:
        good = backup(shelf.server, made.mountpoint, "good")
        room = 16 * 2**20 - 2 * good.bytes_stored - (3 << 20)
        (made.mountpoint / "filler").write_bytes(bytes(max(room, 0) + good.bytes_stored))
        record = run_job("backup", *common(made.mountpoint, "next"), *shelf.server.reach())
        assert (record.state, record.code) == (State.FAILED, Code.VOLUME_FULL), record.reason
        assert not (made.mountpoint / "next").exists()
        verified = run_job("verify", *common(tmp_path, "v1"), *chain(made.mountpoint, "good"))
        assert verified.state is State.VERIFIED, verified.reason
    finally:
        volumes.remove("small")


def test_a_killed_backup_is_none_and_the_next_run_starts_anew(shop: MariaDB, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    with started(shop, volume, "--throttle=1") as job:
        await_growth(volume)
        job.kill()
        job.wait()
    assert not (volume / "b1").exists()
    half = (volume / ".b1.partial" / STREAM).stat().st_size
    wait_until(lambda: "vdbmon" not in shop.sql("SHOW PROCESSLIST"), deadline=20, what="the server is let go")
    record = backup(shop, volume, "b1")
    assert record.bytes_stored > half
    assert run_job("verify", *common(tmp_path, "v1"), *chain(volume, "b1")).state is State.VERIFIED


def test_a_stopped_backup_leaves_nothing(shop: MariaDB, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    with started(shop, volume, "--throttle=1") as job:
        await_growth(volume)
        job.send_signal(signal.SIGTERM)
        record = outcome(job)
    failed(record, Code.TERMINATED, "it was stopped before it was done; place it again", volume)


def test_a_replaced_source_is_no_base_for_an_increment(shelf: Shelf, tmp_path: Path) -> None:
    record = run_job("backup", *common(tmp_path, "i9"), *shelf.server.reach(), "--parent=full", f"--from-lsn={1 << 50}")
    assert record.state is State.FAILED
    assert record.code in (Code.SOURCE_REPLACED, Code.TOOL_FAILED), record.reason
    assert not (tmp_path / "i9").exists()


def started(server: MariaDB, volume: Path, *more: str) -> subprocess.Popen[bytes]:
    command = runner_command("backup", *common(volume, "b1"), *server.reach(), *more)
    return subprocess.Popen(command, env=runner_environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def outcome(job: subprocess.Popen[bytes]) -> Record:
    output, _ = job.communicate(timeout=60)
    assert job.returncode == 1
    return Record.from_json(output.decode().splitlines()[-1])


def await_growth(volume: Path) -> None:
    stream = volume / ".b1.partial" / STREAM
    wait_until(lambda: stream.exists() and stream.stat().st_size > 0, deadline=30, what="the backup grows")
