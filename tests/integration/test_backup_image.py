"""The backup image end to end: a demonstration server in it, a backup under limits, its restore, its failures."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import docker
import docker.errors
import pytest
from docker.models.containers import Container
from docker.types import Mount

from collector.errors import VdbmonError
from orchestrator.backup.runner.errors import Code
from orchestrator.backup.runner.record import Record, State
from orchestrator.engines.images import context_digest, context_files, debian_sources, ensure_backup_image
from orchestrator.host.blockdevices import BlockDevice, device_of
from orchestrator.host.volumes import LoopVolumes, SizedVolume
from tests.support.wait import wait_until

CONTEXT = Path(__file__).parents[2] / "deploy" / "images" / "backup"
MIB = 1 << 20
SECRET_WORD = "hush4711"  # noqa: S105 - of a server that lives for a minute
PASSWORD = f"it's \\\\ {SECRET_WORD}"  # the quote and the backslash must survive option file, shell and SQL
TICK_SECONDS = 0.05
REACH = "--socket /run/source/mysqld.sock --defaults-file /run/secrets/source.cnf"
CHECKSUM = "CHECKSUM TABLE demo.orders; SELECT COUNT(*) FROM demo.orders"
RESTORE = f"""
mkdir /restored /run/mysqld 2>/dev/null || true
zstd -qdc /backup/b1/backup.xb.zst | mbstream -x -C /restored
mariadb-backup --prepare --target-dir=/restored >/dev/null 2>&1
chown -R mysql /restored /run/mysqld
mariadbd --user=mysql --datadir=/restored --skip-networking --socket=/run/mysqld/mysqld.sock >/dev/null 2>&1 &
until mariadb-admin ping >/dev/null 2>&1; do sleep 0.1; done
mariadb -BNe '{CHECKSUM}'
"""


@dataclass(frozen=True)
class Demo:
    """A running demonstration server and what a backup of it needs."""

    container: Container
    image: str
    data: Path
    run: Path
    credentials: Path

    def sql(self, statement: str) -> str:
        status, output = self.container.exec_run(["mariadb", "-BNe", statement])
        assert status == 0, output
        assert isinstance(output, bytes)
        return output.decode()


Launch = Callable[..., Container]


@pytest.fixture(scope="session")
def demo(
    docker_client: docker.DockerClient, backup_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    data, run = folder / "data", folder / "run"
    data.mkdir()
    run.mkdir()
    credentials = write_credentials(folder / "source.cnf", PASSWORD)
    container = docker_client.containers.run(
        backup_image,
        "start-demo-server",
        name=f"vdbmon-test-demo-{uuid.uuid4().hex[:8]}",
        detach=True,
        init=True,
        network_mode="none",
        environment={"DEMO_MB": "20"},
        mounts=[
            bind(data, "/var/lib/mysql"),
            bind(run, "/run/mysqld"),
            bind(credentials, "/run/secrets/source.cnf", ro=True),
        ],
    )
    try:
        wait_until((run / "ready").exists, deadline=90, what="the demonstration server is ready")
        assert (run / "ready").read_text().strip() == container.short_id
        yield Demo(container=container, image=backup_image, data=data, run=run, credentials=credentials)
    finally:
        container.remove(force=True)


@pytest.fixture
def volumes(tmp_path: Path) -> Iterator[LoopVolumes]:
    made = LoopVolumes(tmp_path / "volumes")
    yield made
    for name in made.list():
        made.remove(name)


@pytest.fixture
def launch(docker_client: docker.DockerClient, backup_image: str, demo: Demo) -> Iterator[Launch]:
    """Starts backups the way the launcher does; a test asks for it after its volumes, which are then removed last."""
    containers: list[Container] = []

    def start(
        volume: SizedVolume,
        *,
        limited: BlockDevice | None = None,
        write_bps: int = 50_000_000,
        credentials: Path = demo.credentials,
        command: str = f"backup --backup-id b1 {REACH}",
        also: Sequence[Mount] = (),
    ) -> Container:
        limits: list[Mapping[str, str | int]] = [{"Path": str((limited or volume.device).path), "Rate": write_bps}]
        containers.append(
            docker_client.containers.run(
                backup_image,
                f"python3 -m runner {command} --source demo --target /backup".split(),
                name=f"vdbmon-test-backup-{uuid.uuid4().hex[:8]}",
                detach=True,
                init=True,
                network_mode="none",
                read_only=True,
                tmpfs={"/tmp": "size=16m,mode=1777"},  # noqa: S108 - the container's own
                cap_drop=["ALL"],
                cap_add=["DAC_READ_SEARCH"],
                security_opt=["no-new-privileges"],
                mem_limit=1 << 30,
                nano_cpus=10**9,
                device_write_bps=limits,
                mounts=[
                    bind(demo.data, "/var/lib/mysql", ro=True),
                    bind(demo.run, "/run/source", ro=True),
                    bind(credentials, "/run/secrets/source.cnf", ro=True),
                    bind(volume.mountpoint, "/backup"),
                    *also,
                ],
            )
        )
        return containers[-1]

    yield start
    for container in containers:
        container.remove(force=True)


def bind(source: Path, target: str, *, ro: bool = False) -> Mount:
    return Mount(type="bind", source=str(source), target=target, read_only=ro)


def write_credentials(path: Path, password: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(f"[client]\nuser=vdbmon_backup\npassword={password}\n")
    return path


def finish(container: Container) -> tuple[int, Record]:
    """Wait for a backup's end; its exit status and the record that it printed last."""
    status = container.wait(timeout=120)["StatusCode"]
    return status, Record.from_json(container.logs(stdout=True, stderr=False).decode().splitlines()[-1])


def bytes_written(volume: SizedVolume) -> int:
    """Bytes that the kernel wrote to the volume's device (Documentation/block/stat.rst, in sectors of 512)."""
    stat = Path("/sys/block", volume.device.path.name, "stat").read_text().split()
    return int(stat[6]) * 512


def steady_rate(container: Container, volume: SizedVolume) -> float:
    """Bytes per second written to the volume from the first MiB to the last, by the kernel's counter."""
    start = bytes_written(volume)
    samples: list[tuple[float, int]] = []
    with ThreadPoolExecutor(1) as pool:
        end = pool.submit(container.wait, timeout=120)
        while not end.done():
            written = bytes_written(volume) - start
            if not samples or written != samples[-1][1]:
                samples.append((time.monotonic(), written))
            wait([end], timeout=TICK_SECONDS)
    growing = [sample for sample in samples if MIB <= sample[1] <= samples[-1][1] - MIB]
    (first, low), (last, high) = growing[0], growing[-1]
    return (high - low) / (last - first)


def left_in(volume: SizedVolume) -> list[str]:
    """What a backup leaves, besides what it says of itself."""
    return sorted({path.name for path in volume.mountpoint.iterdir()} - {"lost+found", "metrics"})


def says(volume: SizedVolume) -> set[str]:
    return set((volume.mountpoint / "metrics" / "backup.prom").read_text().splitlines())


def test_an_image_that_is_up_to_date_is_not_built_again(docker_client: docker.DockerClient, backup_image: str) -> None:
    steps: list[str] = []
    assert ensure_backup_image(docker_client, CONTEXT, steps.append) == backup_image
    assert steps == []


def test_a_folder_without_dockerfile_is_refused(docker_client: docker.DockerClient, tmp_path: Path) -> None:
    with pytest.raises(VdbmonError) as caught:
        ensure_backup_image(docker_client, tmp_path, lambda _line: None)
    assert caught.value.code == "image.context_missing"


def test_a_failed_build_says_why_in_one_line_and_keeps_the_old_image(
    docker_client: docker.DockerClient, backup_image: str, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM debian:bookworm-slim\nRUN echo no such luck >&2; exit 7\n")
    with pytest.raises(VdbmonError) as caught:
        ensure_backup_image(docker_client, tmp_path, lambda _line: None)
    assert caught.value.code == "image.build_failed"
    assert "no such luck" in caught.value.message
    assert "returned a non-zero code: 7" in caught.value.message
    assert "\n" not in caught.value.message
    assert ensure_backup_image(docker_client, CONTEXT, lambda _line: None) == backup_image


def test_the_context_digest_follows_content_names_and_modes(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    script = tmp_path / "run"
    digests = [context_digest(context_files(tmp_path, tmp_path))]
    for change in (lambda: script.write_text("a"), lambda: script.write_text("b"), lambda: script.chmod(0o755)):
        change()
        digests.append(context_digest(context_files(tmp_path, tmp_path)))
    assert len(set(digests)) == len(digests)
    assert digests[-1] == context_digest(context_files(tmp_path, tmp_path))


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("deb http://deb.debian.org/debian bookworm main\n", True),
        ("deb [signed-by=/k.gpg] https://mirror.example/debian bookworm main contrib\n", True),
        ("Types: deb\nURIs: http://deb.debian.org/debian\nSuites: bookworm bookworm-updates\nComponents: main\n", True),
        ("# deb http://deb.debian.org/debian bookworm main\n", False),
        ("deb http://deb.debian.org/debian trixie main\n", False),
        ("deb https://download.example/linux/debian bookworm stable\n", False),
        ("deb https://packages.example/apt cloud-sdk-bookworm main\n", False),
        ("Types: deb\nURIs: https://deb.example/node_20.x\nSuites: nodistro\nComponents: main\n", False),
        ("", False),
    ],
)
def test_the_base_is_made_from_debians_own_sources(tmp_path: Path, text: str, chosen: bool) -> None:  # noqa: FBT001 - pytest gives it
    (tmp_path / "sources.list.d").mkdir()
    path = tmp_path / "sources.list.d" / "some.sources"
    path.write_text(text)
    assert debian_sources(tmp_path, "bookworm") == ([path] if chosen else [])


@pytest.mark.parametrize("limited", ["volume", "disk"])
def test_a_backup_keeps_its_write_limit_and_restores_to_the_same_rows(
    limited: str, demo: Demo, volumes: LoopVolumes, launch: Launch, docker_client: docker.DockerClient
) -> None:
    limit = 3_000_000
    volume = volumes.create("whole", 64 * MIB)
    device = volume.device if limited == "volume" else device_of(volume.image)
    container = launch(volume, limited=device, write_bps=limit)
    rate = steady_rate(container, volume)
    status, record = finish(container)
    assert (status, record.state, record.reason) == (0, State.DONE, None)
    assert 0.7 * limit < rate < 1.1 * limit, "what else uses the disk may slow it down, nothing may speed it up"

    folder = volume.mountpoint / "b1"
    assert left_in(volume) == ["b1"]
    assert 'vdbmon_backup_state{state="done"} 1' in says(volume)
    assert Record.from_json((folder / "record.json").read_text()) == record
    assert (folder / "backup.xb.zst").stat().st_size == record.bytes_stored
    with (folder / "backup.xb.zst").open("rb") as stream:
        assert hashlib.file_digest(stream, "sha256").hexdigest() == record.files[0].sha256
    assert record.bytes_raw > record.bytes_stored > 5 * MIB
    assert (record.source, record.backup_id, record.binlog_file) == ("demo", "b1", "binlog.000001")
    assert record.to_lsn

    mounts = [bind(volume.mountpoint, "/backup", ro=True)]
    command = ["sh", "-ec", RESTORE]
    restored = docker_client.containers.run(
        demo.image, command, init=True, network_mode="none", remove=True, mounts=mounts
    )
    assert restored.decode() == demo.sql(CHECKSUM)


def test_a_wrong_password_is_the_reason_and_nothing_is_left(
    volumes: LoopVolumes, launch: Launch, tmp_path: Path
) -> None:
    volume = volumes.create("denied", 64 * MIB)
    container = launch(volume, credentials=write_credentials(tmp_path / "wrong.cnf", "wrong"))
    status, record = finish(container)
    assert (status, record.state) == (1, State.FAILED)
    assert "Access denied for user 'vdbmon_backup'@'localhost'" in (record.reason or "")
    assert left_in(volume) == []


def test_a_volume_too_small_is_the_reason_and_nothing_is_left(volumes: LoopVolumes, launch: Launch) -> None:
    volume = volumes.create("small", 8 * MIB)
    status, record = finish(launch(volume))
    assert (status, record.state) == (1, State.FAILED)
    assert (record.reason or "").startswith("no space left in /backup after ")
    assert left_in(volume) == []
    assert 'vdbmon_backup_state{state="failed"} 1' in says(volume)


def test_a_stopped_backup_cleans_up_and_lets_the_server_go(demo: Demo, volumes: LoopVolumes, launch: Launch) -> None:
    volume = volumes.create("stopped", 64 * MIB)
    container = launch(volume, write_bps=MIB)
    stream = volume.mountpoint / ".b1.partial" / "backup.xb.zst"
    wait_until(lambda: stream.exists() and stream.stat().st_size > MIB, deadline=30, what="the backup grows")
    container.kill("SIGTERM")
    status, record = finish(container)
    assert (status, record.state, record.code) == (1, State.FAILED, Code.TERMINATED)
    assert left_in(volume) == []
    wait_until(lambda: "vdbmon_backup" not in demo.sql("SHOW PROCESSLIST"), deadline=10, what="its sessions end")


def test_a_restore_keeps_its_write_limit(volumes: LoopVolumes, launch: Launch) -> None:
    """Unpacking goes through the page cache: it must be written by the container, and not later by the kernel."""
    limit = 10_000_000
    shelf, target = volumes.create("shelf", 64 * MIB), volumes.create("target", 256 * MIB)
    assert finish(launch(shelf))[0] == 0
    mount = bind(shelf.mountpoint, "/shelf", ro=True)
    container = launch(target, write_bps=limit, command="restore --backup-id r1 --backup /shelf/b1", also=[mount])
    rate = steady_rate(container, target)
    status, record = finish(container)
    assert (status, record.reason) == (0, None)
    assert record.peaks is not None
    assert (record.peaks.write_bps or 0) > 0.5 * limit, "its own cgroup wrote it"
    assert bytes_written(target) > 30 * MIB
    assert 0.4 * limit < rate < 1.15 * limit


def test_a_backup_is_verified_in_a_container_of_the_same_kind(volumes: LoopVolumes, launch: Launch) -> None:
    shelf, scratch = volumes.create("shelf", 64 * MIB), volumes.create("scratch", 256 * MIB)
    status, backup = finish(launch(shelf))
    assert (status, backup.tables) == (0, 1)
    mount = bind(shelf.mountpoint, "/shelf", ro=True)
    container = launch(scratch, command="verify --backup-id v1 --backup /shelf/b1", also=[mount])
    status, record = finish(container)
    assert (status, record.reason) == (0, None)
    assert (record.state, record.parent, record.tables) == (State.VERIFIED, "b1", 1)
    assert record.peaks is not None
    assert record.peaks.memory
    assert record.peaks.cpu
    assert left_in(scratch) == ["v1"]
    assert [path.name for path in (scratch.mountpoint / "v1").iterdir()] == ["record.json"]


def test_a_killed_container_leaves_no_backup_and_the_earlier_one(volumes: LoopVolumes, launch: Launch) -> None:
    volume = volumes.create("killed", 64 * MIB)
    assert finish(launch(volume))[0] == 0
    container = launch(volume, write_bps=MIB, command=f"backup --backup-id b2 {REACH}")
    stream = volume.mountpoint / ".b2.partial" / "backup.xb.zst"
    wait_until(lambda: stream.exists() and stream.stat().st_size > MIB, deadline=30, what="the backup grows")
    container.kill("SIGKILL")
    assert container.wait(timeout=30)["StatusCode"] == 137
    assert left_in(volume) == [".b2.partial", "b1"]
    with (volume.mountpoint / "b1" / "backup.xb.zst").open("rb") as first:
        record = Record.from_json((volume.mountpoint / "b1" / "record.json").read_text())
        assert hashlib.file_digest(first, "sha256").hexdigest() == record.files[0].sha256
    again = launch(volume, command=f"backup --backup-id b2 {REACH}")
    assert finish(again)[0] == 0
    assert left_in(volume) == ["b1", "b2"]


def test_no_password_is_in_what_the_engine_or_the_volume_shows(
    demo: Demo, volumes: LoopVolumes, launch: Launch, docker_client: docker.DockerClient
) -> None:
    volume = volumes.create("secret", 64 * MIB)
    container = launch(volume)
    assert finish(container)[0] == 0
    written = [
        path.read_bytes() for path in (volume.mountpoint / "b1").rglob("*") if path.suffix != ".zst" and path.is_file()
    ]
    shown = json.dumps(
        [docker_client.api.inspect_container(str(made.id)) for made in (container, demo.container)]
    ).encode()
    for text in (shown, container.logs(), demo.container.logs(), *written):
        assert SECRET_WORD.encode() not in text
