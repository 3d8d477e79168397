"""What is made to go wrong for a page, and is mended.

A process in a container is killed for want of memory; a backup that `vdbmon place` launched loses its source. A daemon
that hangs is `OwnDockerd.freeze`, one that hangs on its containers `OwnDockerd.freeze_containerd`.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker.errors

from orchestrator.host.volumes import LoopVolumes
from tests.support.agent import VDBMON, run_container
from tests.support.loop_volumes import remove_volumes
from tests.support.mariadb import MariaDB, running, source
from tests.support.paging import HOST, PATIENCE, Paging
from tests.support.servers import query
from tests.support.wait import wait_until

VICTIM = "hungry"
SOURCE = "orders"
BACKUP, LATER_BACKUP = "orders-1", "orders-2"

OOM = f"A process of {VICTIM} on {HOST} was killed for want of memory"
FAILED = f"The backup {BACKUP} on {HOST} failed"
SILENT = f"The Docker daemon of {HOST} does not answer"
HANG = f"The Docker daemon of {HOST} hangs on a container"

PLACED_WITHIN = 120.0
"""Seconds: gates are open once Prometheus has run for a while, and a busy machine may close them for a moment."""

_FLEET = """
[host]
name = "{host}"
[prometheus]
url = "{site.store.url}"
[ledger]
url = "sqlite:///{folder}/ledger.db"
[volumes]
dir = "{site.volumes}"
[[hosts]]
name = "{host}"
agent = "http://127.0.0.1:{site.agent.port}"
docker = "{site.daemon.address}"
inventory = {{ cpus = 2, memory = "8GiB", disk = "20GiB", read_bps = "200MB", write_bps = "200MB" }}
[[sources]]
name = "{source}"
reach = "local"
host = "{host}"
address = "unix://{server.socket}"
data_dir = "{server.data}"
server_data_dir = "{server.data}"
credentials_file = "{server.credentials}"
"""
_SIZE = ("--cpus=0.5", "--memory=512MiB", "--disk=256MiB", "--read-bps=50MB", "--write-bps=50MB")
_BINLOG = ("--log-bin=binlog", "--server-id=1")
# As long as this session has it, a backup waits for its first lock: it is under way whenever the source dies.
_HOLD = "BACKUP STAGE START; SELECT 'held';\n"


@contextlib.contextmanager
def victim(site: Paging) -> Iterator[None]:
    """The container that `starve` is about, once Prometheus knows it."""
    container = run_container(site.daemon, VICTIM, "sleep", "600", network_mode="none", mem_limit="16m")
    known = f'container_last_seen{{name="{VICTIM}"}}'
    try:
        wait_until(lambda: query(site.store, known), deadline=PATIENCE, what=f"Prometheus knows {VICTIM}")
        yield
    finally:
        site.daemon.thaw()
        container.remove(force=True)


def starve(site: Paging) -> None:
    """Have a process killed in it."""
    ended = site.daemon.client().containers.get(VICTIM).exec_run(["dd", "if=/dev/zero", "of=/dev/null", "bs=64M"])
    assert ended.exit_code, ended


@dataclass(slots=True)
class Orders:
    """A MariaDB server, and `vdbmon place` for backups of it."""

    site: Paging
    folder: Path
    server: MariaDB
    stack: contextlib.ExitStack

    def begin_backup(self) -> None:
        """Place a backup that gets no further than its first lock, and wait until Prometheus knows it is under way."""
        self._hold()
        self._place(BACKUP)
        state = f'vdbmon_backup_state{{name="{BACKUP}",state="started"}} == 1'
        wait_until(lambda: query(self.site.store, state), deadline=PATIENCE, what="Prometheus knows the backup")

    def die(self) -> None:
        """Kill the server."""
        self.server.process.kill()

    def come_back(self) -> None:
        """Start the server again, and take a backup that ends well."""
        self.server = self.stack.enter_context(running(self.server.folder, *_BINLOG))
        self._place(LATER_BACKUP, "--wait")

    def _hold(self) -> None:
        command = ["mariadb", "--no-defaults", f"--socket={self.server.socket}", "--user=root", "-BN", "--unbuffered"]
        session = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.stack.enter_context(session)
        self.stack.callback(session.kill)
        assert session.stdin is not None
        assert session.stdout is not None
        session.stdin.write(_HOLD.encode())
        session.stdin.flush()
        assert session.stdout.readline() == b"held\n"

    def _place(self, name: str, *more: str) -> None:
        config = self.folder / "fleet.toml"
        config.write_text(
            _FLEET.format(host=HOST, source=SOURCE, site=self.site, folder=self.folder, server=self.server)
        )
        command = [VDBMON, "place", name, f"--source={SOURCE}", *_SIZE, *more, f"--config={config}"]
        refused = 3

        def placed() -> bool:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PLACED_WITHIN, check=False)
            assert done.returncode in (0, refused), done.stdout + done.stderr
            return done.returncode == 0

        wait_until(placed, deadline=PLACED_WITHIN, what=f"{name} is placed", every=1.0)


@contextlib.contextmanager
def orders(site: Paging, folder: Path, empty_data: Path) -> Iterator[Orders]:
    """The server on a copy of an empty data directory; what was placed is gone afterwards."""
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        stack.callback(_remove_placed, site)
        server = stack.enter_context(source(folder, empty_data))
        yield Orders(site, folder, server, stack)


def _remove_placed(site: Paging) -> None:
    site.daemon.thaw()
    with contextlib.closing(site.daemon.client(timeout=60)) as client:
        for name in (BACKUP, LATER_BACKUP):
            with contextlib.suppress(docker.errors.NotFound):
                client.containers.get(name).remove(force=True)
    remove_volumes(LoopVolumes(site.volumes))
