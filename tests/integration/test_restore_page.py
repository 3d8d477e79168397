"""docs/restore.md followed line by line, on a real encrypted backup and an increment in sized volumes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.host.volumes import LoopVolumes, SizedVolume
from tests.support.mariadb import backup, checksums, fill, make_age_key, source, sql
from tests.support.wait import wait_until

PAGE = Path(__file__).parents[2] / "docs" / "restore.md"
MIB = 2**20
SIZE = 128 * MIB
RUN_SECONDS = 170
NAMES = ("orders-full", "orders-1")


@dataclass(frozen=True)
class Lost:
    """What is left of a fleet: image files, a private key, the binary logs of the source."""

    images: Path
    identity: Path
    logs: tuple[Path, ...]
    until: str
    at_increment: str
    before_drop: str


def blocks() -> list[str]:
    """The commands of the page, block by block."""
    return re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)


def assigned(block: str) -> list[str]:
    return re.findall(r"^([A-Z]+)=", block, re.MULTILINE)


@pytest.fixture
def lost(tmp_path: Path, empty_data: Path) -> Iterator[Lost]:
    identity = make_age_key(tmp_path)
    volumes = LoopVolumes(tmp_path / "volumes")
    (tmp_path / "db").mkdir()
    images = tmp_path / "images"
    images.mkdir()
    try:
        with source(tmp_path / "db", empty_data) as server:
            fill(server, 500)
            made = [volumes.create(name, SIZE) for name in NAMES]
            full = backup(server, made[0].mountpoint, NAMES[0], "--recipients", tmp_path / "recipients")
            server.sql("USE shop", "INSERT INTO shop.items (name) SELECT CONCAT('later ', seq) FROM seq_1_to_300")
            at_increment = checksums(server.socket)
            increment = ("--parent", full.backup_id, "--from-lsn", str(full.to_lsn))
            backup(server, made[1].mountpoint, NAMES[1], "--recipients", tmp_path / "recipients", *increment)
            server.sql("DELETE FROM shop.items WHERE id % 7 = 0")
            before_drop, until = checksums(server.socket), next_second()
            server.sql("DROP TABLE shop.items")
            last = server.sql("SHOW MASTER STATUS").split("\t")[0]
            copy_images(volumes, made, images)
            logs = tuple(shutil.copy(path, images) for path in sorted(server.data.glob("binlog.0*")))
            assert Path(logs[-1]).name == last
            yield Lost(images, identity, tuple(map(Path, logs)), until, at_increment, before_drop)
    finally:
        for name in volumes.list():
            volumes.remove(name)


def copy_images(volumes: LoopVolumes, made: list[SizedVolume], images: Path) -> None:
    """As they lie on a disk that was carried away: nothing of them is mounted any more."""
    for volume in made:
        subprocess.run(["umount", volume.mountpoint], check=True)
        shutil.copy(volume.image, images / volume.image.name)
    assert volumes.list() == tuple(sorted(NAMES))


def next_second() -> str:
    """The next full second, in UTC, when it has begun."""
    now = datetime.now(UTC).replace(microsecond=0)
    wait_until(lambda: datetime.now(UTC).replace(microsecond=0) > now, deadline=5, what="the next second", every=0.05)
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"


def follow(script: str, values: Mapping[str, str], log: Path) -> None:
    """Run commands in one shell as a person would, with values of one's own; what they say is in the log."""
    settings = "".join(f"{name}={value!r}\n" for name, value in values.items())
    with log.open("a") as out:
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail\n{settings}{script}"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            timeout=RUN_SECONDS,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": str(log.parent)},
        )
    assert done.returncode == 0, log.read_text()[-3000:]


@pytest.fixture
def work() -> Iterator[Path]:
    """A folder that the user `mysql` reaches; a test's own isn't."""
    with tempfile.TemporaryDirectory(prefix="vdbmon-restore-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_the_page_leads_from_image_files_to_a_running_server(lost: Lost, work: Path, tmp_path: Path) -> None:
    have, mount, look, check, unpack, prepare, start, later, replay, clean = blocks()
    values = {"IMAGES": str(lost.images), "CHAIN": " ".join(NAMES), "IDENTITY": str(lost.identity), "WORK": str(work)}
    assert assigned(have) == list(values), "the page's example sets what the rest of it uses"
    moment = {"LOGS": " ".join(map(str, lost.logs)), "UNTIL": lost.until}
    assert assigned(later) == list(moment)
    log, socket = tmp_path / "page.log", work / "run" / "mysqld.sock"
    try:
        follow(f"{mount}\n{look}\n{check}\n{unpack}\n{prepare}\n{start}", values, log)
        assert log.read_text().count("completed OK!") == 2
        assert f'"parent": "{NAMES[0]}"' in log.read_text()
        assert checksums(socket) == lost.at_increment
        follow(replay, {**values, **moment}, log)
        assert checksums(socket) == lost.before_drop, "the second before the table was dropped"
    finally:
        if socket.exists():
            sql(socket, "SHUTDOWN")
            wait_until(lambda: not socket.exists(), deadline=30, what="the server stopped")
        for name in NAMES:
            subprocess.run(["umount", "-q", work / "volumes" / name], check=False)
    assert clean.strip()


def test_a_flipped_byte_is_found_at_the_check(lost: Lost, work: Path, tmp_path: Path) -> None:
    _, mount, _, check, *_, clean = blocks()
    values = {"IMAGES": str(lost.images), "CHAIN": NAMES[0], "IDENTITY": str(lost.identity), "WORK": str(work)}
    flip(lost.images / f"{NAMES[0]}.img", tmp_path / "rw")
    try:
        with pytest.raises(AssertionError, match="FAILED"):
            follow(f"{mount}{check}", values, tmp_path / "page.log")
    finally:
        follow(clean, values, tmp_path / "clean.log")


def flip(image: Path, mountpoint: Path) -> None:
    mountpoint.mkdir()
    subprocess.run(["mount", "-o", "loop", image, mountpoint], check=True)
    try:
        (stream,) = mountpoint.glob("*/backup.xb.zst.age")
        with stream.open("r+b") as file:
            file.seek(stream.stat().st_size // 2)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))
    finally:
        subprocess.run(["umount", mountpoint], check=True)
