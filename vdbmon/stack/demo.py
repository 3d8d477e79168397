"""The demonstration's database: a MariaDB in a container of the backup image, on a socket only, with rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import docker.errors
from docker import DockerClient

from collector import labels
from collector.errors import VdbmonError
from orchestrator.backup.commands import VOLUME_TARGET
from orchestrator.engines.images import backup_tag
from orchestrator.settings import SourceSettings
from vdbmon.config import Config
from vdbmon.stack.dockerd import engine
from vdbmon.stack.layout import Layout
from vdbmon.stack.machine import make_credentials
from vdbmon.stack.steps import Progress
from vdbmon.stack.wait import wait_for

SOURCE = "demo"
SERVER = "vdbmon-demo"
BACKUP = "demo-backup"
LABEL = "io.vdbmon.stack"
"""Marks the containers that `vdbmon stack` itself starts; the value is the state folder of the stack."""

ROWS_MB = 300
MEMORY = "512m"
LOAD_SECONDS = 180.0
STOP_SECONDS = 20
ENGINE_SECONDS = 60

# Where deploy/images/backup/start-demo-server looks.
COMMAND = "start-demo-server"
CREDENTIALS_INSIDE = "/run/secrets/source.cnf"
SOCKET_DIR_INSIDE = "/run/mysqld"
READY_FILE = "ready"


def demo_source(config: Config) -> SourceSettings | None:
    """The source that is backed up; None where somebody took it out of the file or changed how it is reached."""
    for source in config.sources:
        if source.name == SOURCE and source.data_dir is not None and source.address.startswith("unix://"):
            return source
    return None


def socket_dir(source: SourceSettings) -> Path:
    """The folder on the host that holds the server's socket."""
    return Path(source.address.removeprefix("unix://")).parent


def start_server(client: DockerClient, image: str, source: SourceSettings, layout: Layout, tell: Progress) -> Any:
    """Start the server unless it runs from this very image; its container, when its rows are loaded.

    Raises:
        VdbmonError: `demo.name_taken`, somebody else's container has the name; `demo.not_loaded`.
    """
    container = find_server(client, layout)
    if container is not None and (container.status != "running" or container.image.id != image):
        container.remove(force=True)
        container = None
    ready = socket_dir(source) / READY_FILE
    if container is None:
        ready.unlink(missing_ok=True)
        container = _run_server(client, source, layout)
    tell(f"loading {ROWS_MB} MB of rows")
    if wait_for(lambda: ready.exists() or _has_ended(container), LOAD_SECONDS) is None or not ready.exists():
        tail = " ".join(container.logs(tail=3).decode(errors="replace").split())
        raise VdbmonError(
            "demo.not_loaded", f"{SERVER} isn't ready: {tail or 'no output'}", f"see `docker logs {SERVER}`"
        )
    container.reload()
    return container


def _run_server(client: DockerClient, source: SourceSettings, layout: Layout) -> Any:
    credentials = source.credentials_file or layout.demo_credentials
    make_credentials(credentials)
    for folder in (source.data_dir, socket_dir(source)):
        Path(folder or "").mkdir(parents=True, exist_ok=True)
    return client.containers.run(
        backup_tag(),
        [COMMAND],
        name=SERVER,
        detach=True,
        labels={LABEL: str(layout.state)},
        network_mode="none",
        mem_limit=MEMORY,
        environment={"DEMO_MB": str(ROWS_MB)},
        volumes={
            str(source.data_dir): {"bind": str(source.server_data_dir), "mode": "rw"},
            str(socket_dir(source)): {"bind": SOCKET_DIR_INSIDE, "mode": "rw"},
            str(credentials): {"bind": CREDENTIALS_INSIDE, "mode": "ro"},
        },
    )


def find_server(client: DockerClient, layout: Layout) -> Any:
    """The demonstration's container; None if there is none.

    Raises:
        VdbmonError: `demo.name_taken`, a container of that name isn't this stack's.
    """
    try:
        container = client.containers.get(SERVER)
    except docker.errors.NotFound:
        return None
    owner = container.labels.get(LABEL)
    if owner != str(layout.state):
        whose = f"belongs to the stack in {owner}" if owner else "isn't vdbmon's"
        raise VdbmonError(
            "demo.name_taken", f"container {SERVER} {whose}", f"stop that stack, or `docker rm -f {SERVER}`"
        )
    return container


def _has_ended(container: Any) -> bool:
    container.reload()
    return str(container.status) in {"exited", "dead"}


def remove_lost_backup(client: DockerClient, volumes: Path) -> None:
    """Remove an earlier demonstration's backup that the ledger may not know: somebody deleted the state folder.

    Raises:
        VdbmonError: `demo.name_taken`, the container is somebody else's, or its volume is still there elsewhere.
    """
    try:
        container = client.containers.get(BACKUP)
    except docker.errors.NotFound:
        return
    mounts = container.attrs.get("Mounts", [])
    volume = next((Path(m["Source"]) for m in mounts if m.get("Destination") == str(VOLUME_TARGET)), None)
    if labels.MANAGED not in container.labels or volume is None:
        raise VdbmonError("demo.name_taken", f"container {BACKUP} isn't vdbmon's", "rename or remove it")
    if not volume.is_relative_to(volumes) and volume.exists():
        raise VdbmonError(
            "demo.name_taken",
            f"container {BACKUP} is another stack's: its volume is {volume}",
            f"`vdbmon rm {BACKUP}` there, or `docker rm -f {BACKUP}`",
        )
    container.remove(force=True)


def stop_demonstration(address: str, layout: Layout, volumes: Path) -> list[str]:
    """Remove the database's container and stop a demonstration's backup that still runs; a line for each container.

    Data stay in the state folder. Other placed containers that use `volumes` go on, and are named.

    Raises:
        VdbmonError: `docker.failed`.
    """
    lines = []
    with engine(address, ENGINE_SECONDS) as client:
        for container in client.containers.list(all=True):
            if container.labels.get(LABEL) == str(layout.state):
                container.stop(timeout=STOP_SECONDS)
                container.remove(force=True)
                lines.append(f"{container.name}: stopped and removed")
            elif container.status == "running" and uses_volumes(container, volumes):
                if container.name == BACKUP:
                    container.stop(timeout=STOP_SECONDS)
                lines.append(f"{container.name}: {'stopped' if container.name == BACKUP else 'goes on'}")
    return lines


def uses_volumes(container: Any, volumes: Path) -> bool:
    """Whether a container was placed by this stack: it has a volume of its folder."""
    mounts = container.attrs.get("Mounts", [])
    return labels.MANAGED in container.labels and any(Path(m.get("Source", "")).is_relative_to(volumes) for m in mounts)
