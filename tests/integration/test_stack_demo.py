"""The demonstration's containers against an engine of the tests' own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient

from collector import labels
from collector.errors import VdbmonError
from orchestrator.backup.commands import VOLUME_TARGET
from orchestrator.engines.images import backup_tag
from orchestrator.settings import Reach, SourceSettings
from tests.support.dockerd import OwnDockerd
from vdbmon.stack.demo import BACKUP, LABEL, SERVER, find_server, remove_lost_backup, start_server, stop_demonstration
from vdbmon.stack.layout import Layout

PLACED = {labels.MANAGED: "true", labels.SOURCE: "demo"}


@pytest.fixture
def client(shared_dockerd: OwnDockerd) -> Iterator[DockerClient]:
    """A client; containers made with it are gone afterwards."""
    with contextlib.closing(shared_dockerd.client()) as own:
        before = {container.id for container in own.containers.list(all=True)}
        yield own
        for container in own.containers.list(all=True):
            if container.id not in before:
                container.remove(force=True)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(state=tmp_path / "var", config=tmp_path / "vdbmon.toml")


def run(client: DockerClient, image: str, name: str, marks: dict[str, str], volume: Path | None = None) -> Any:
    binds = {}
    if volume is not None:
        volume.mkdir(parents=True, exist_ok=True)
        binds = {str(volume): {"bind": str(VOLUME_TARGET), "mode": "rw"}}
    command = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    return client.containers.run(image, command, name=name, labels=marks, volumes=binds, detach=True)


def test_down_stops_the_demonstration_and_nothing_else(
    client: DockerClient, shared_dockerd: OwnDockerd, busybox: str, layout: Layout
) -> None:
    run(client, busybox, SERVER, {LABEL: str(layout.state)})
    run(client, busybox, BACKUP, PLACED, layout.volumes / "demo-backup-1")
    run(client, busybox, "nightly", PLACED, layout.volumes / "nightly-1")
    run(client, busybox, "other-stack", {LABEL: "/srv/other"})
    run(client, busybox, "foreign", {})
    lines = stop_demonstration(shared_dockerd.address, layout, layout.volumes)
    assert sorted(lines) == [f"{BACKUP}: stopped", "nightly: goes on", f"{SERVER}: stopped and removed"]
    states = {container.name: container.status for container in client.containers.list(all=True)}
    assert states == {BACKUP: "exited", "nightly": "running", "other-stack": "running", "foreign": "running"}
    assert stop_demonstration(shared_dockerd.address, layout, layout.volumes) == ["nightly: goes on"]


@pytest.mark.parametrize("marks", [{}, {LABEL: "/srv/other"}])
def test_a_server_of_somebody_else_is_left_alone(
    client: DockerClient, busybox: str, layout: Layout, marks: dict[str, str]
) -> None:
    run(client, busybox, SERVER, marks)
    with pytest.raises(VdbmonError) as caught:
        find_server(client, layout)
    assert caught.value.code == "demo.name_taken"


def test_a_backup_whose_volume_is_gone_or_our_own_is_cleared(
    client: DockerClient, busybox: str, layout: Layout, tmp_path: Path
) -> None:
    remove_lost_backup(client, layout.volumes)
    run(client, busybox, BACKUP, PLACED, layout.volumes / "demo-backup-1")
    remove_lost_backup(client, layout.volumes)
    lost = tmp_path / "deleted" / "demo-backup-2"
    run(client, busybox, BACKUP, PLACED, lost)
    lost.rmdir()
    remove_lost_backup(client, layout.volumes)
    assert BACKUP not in {container.name for container in client.containers.list(all=True)}


def test_a_backup_of_another_stack_and_a_foreign_container_are_refused(
    client: DockerClient, busybox: str, layout: Layout, tmp_path: Path
) -> None:
    other = run(client, busybox, BACKUP, PLACED, tmp_path / "other" / "demo-backup-3")
    with pytest.raises(VdbmonError, match="another stack's"):
        remove_lost_backup(client, layout.volumes)
    other.remove(force=True)
    run(client, busybox, BACKUP, {})
    with pytest.raises(VdbmonError, match="isn't vdbmon's"):
        remove_lost_backup(client, layout.volumes)


def test_an_image_that_can_not_load_rows_is_told_with_its_last_words(
    client: DockerClient, busybox: str, layout: Layout, tmp_path: Path
) -> None:
    context = tmp_path / "image"
    context.mkdir()
    (context / "Dockerfile").write_text(
        f'FROM {busybox}\nRUN ["/bin/sh", "-c", "echo \'echo no disk left; exit 1\' > /bin/start-demo-server"]\n'
        'RUN ["/bin/busybox", "chmod", "755", "/bin/start-demo-server"]\nENTRYPOINT ["sh", "-c", "start-demo-server"]\n'
    )
    image, _ = client.images.build(path=str(context), rm=True, tag=backup_tag())
    source = SourceSettings(
        name="demo",
        reach=Reach.LOCAL,
        address=f"unix://{tmp_path}/run/mysqld.sock",
        credentials_file=layout.demo_credentials,
        data_dir=layout.demo_data,
    )
    with pytest.raises(VdbmonError, match="no disk left") as caught:
        start_server(client, str(image.id), source, layout, lambda _: None)
    assert caught.value.code == "demo.not_loaded"
    assert layout.demo_credentials.stat().st_mode & 0o777 == 0o600
