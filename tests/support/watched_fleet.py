"""What `vdbmon serve` sees of the watched host: a fleet with schedules, pools and growth; a launch and leaks if wanted.

The launch is made by `vdbmon place` with an image whose python3 leaves the record of a good dump. From then on the
ledger knows the host's engine, so that containers and volumes of the other jobs, which no launch made, are leaks.
"""

from __future__ import annotations

import contextlib
import io
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

from collector import labels
from collector.catalogue import host
from orchestrator.backup.runner.record import Kind
from orchestrator.capacity.forecast import DAY, LEAST_DAYS
from orchestrator.engines.images import backup_tag
from tests.support.agent import VDBMON, Agent
from tests.support.backups import record
from tests.support.dockerd import OwnDockerd, import_busybox
from tests.support.wait import wait_until

HOST, DOWN_HOST = "dr-host-01", "dr-host-02"
LAUNCHED = "placed-backup"
PLACED_WITHIN = 120.0
"""Seconds: Prometheus must have run for a while first."""

_NOBODY = "http://127.0.0.1:9"
_INVENTORY = (
    'inventory = { cpus = 8, memory = "64GiB", disk = "1TiB", read_bps = "200MB", write_bps = "200MB", '
    'read_iops = 20000, write_iops = 20000, network_in = "100MB", network_out = "100MB" }'
)
# One that is due on a leap day: promised, and never placed here. One that is due now, and far too large.
_PROMISES = """
[[pools]]
name = "backup"
range = "10.98.0.0/24"
gateway = "10.98.0.1"

[[sources]]
name = "orders"
reach = "local"
host = "{host}"
address = "unix://{folder}/orders.sock"
data_dir = "{folder}/orders"
credentials_file = "{folder}/orders.cnf"

[[schedules]]
name = "orders-full"
source = "orders"
job = "backup"
cron = "0 3 29 2 *"
fresh = "1d"

[[schedules]]
name = "orders-dump"
source = "orders"
job = "logical"
cron = "* * * * *"
size = {{ memory = "1TiB" }}
"""
# What the runner's command line does in the tiny image: a record, and nothing of a dump.
_RUNNER = """#!/bin/sh
while [ "$1" != --backup-id ]; do shift; done
mkdir "/backup/$2"
busybox sed "s/BACKUP/$2/" /bin/record.json > "/backup/$2/record.json"
"""
_SIZE = ("--cpus=0.1", "--memory=16MiB", "--disk=16MiB", "--read-bps=1MB", "--write-bps=1MB")
_GROWTH_STEP = 300
_GROWTH_DAYS = LEAST_DAYS + 3
_GIB = 2**30


def fleet_config(folder: Path, port: int, prometheus_port: int, agent: Agent, daemon: OwnDockerd) -> Path:
    """Of a fleet of two hosts; nobody is at the second one's addresses."""
    hosts = {HOST: (f"http://127.0.0.1:{agent.port}", daemon.address), DOWN_HOST: (_NOBODY, "tcp://127.0.0.1:9")}
    fleet = (
        f'[[hosts]]\nname = "{name}"\nagent = "{address}"\ndocker = "{docker}"\n{_INVENTORY}\n'
        for name, (address, docker) in hosts.items()
    )
    _make_source(folder)
    config = folder / "serve.toml"
    config.write_text(
        f'[host]\nname = "{HOST}"\n[serve]\nlisten = "127.0.0.1:{port}"\ninterval = "1s"\n'
        f'[prometheus]\nurl = "http://127.0.0.1:{prometheus_port}"\n[volumes]\ndir = "{folder}/volumes"\n'
        f'[ledger]\nurl = "sqlite:///{folder}/ledger.db"\n{"".join(fleet)}{_PROMISES.format(folder=folder, host=HOST)}'
    )
    return config


def _make_source(folder: Path) -> None:
    """What a launch looks for: nobody answers there."""
    credentials = folder / "orders.cnf"
    credentials.touch(0o600)
    credentials.write_text("[client]\nuser=vdbmon\n")
    (folder / "orders").mkdir()
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(folder / "orders.sock"))


def place(daemon: OwnDockerd, config: Path) -> None:
    """Place a logical dump, whatever alerts say of a machine that is busy with tests."""
    _import_runner(daemon)
    command = [VDBMON, "place", LAUNCHED, "--source=orders", "--job=logical", *_SIZE, f"--host={HOST}"]
    command += ["--override=alert.firing", "--why=the test needs a launch", f"--config={config}"]
    refused = 3

    def placed() -> bool:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PLACED_WITHIN, check=False)
        assert done.returncode in (0, refused), done.stdout + done.stderr
        return done.returncode == 0

    wait_until(placed, deadline=PLACED_WITHIN, what=f"{LAUNCHED} is placed", every=1.0)


def leave_network(daemon: OwnDockerd) -> None:
    """The network of an address pool that the host has no longer."""
    ours = {labels.MANAGED: "true", labels.POOL: "former"}
    with contextlib.closing(daemon.client()) as client:
        client.networks.create("vdbmon-former", driver="bridge", labels=ours)


def write_growth(folder: Path) -> None:
    """Blocks of a Prometheus that has seen the memory of the fleet in use grow for days, until three hours ago.

    Raises:
        subprocess.CalledProcessError: promtool doesn't take them.
    """
    folder.mkdir()
    text = folder.parent / "growth.txt"
    text.write_text("".join(_growth(time.time())))
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def _growth(now: float) -> Iterator[str]:
    """OpenMetrics; a GiB more each day."""
    total, available = host.MEMORY["MemTotal"].name, host.MEMORY["MemAvailable"].name
    end = int(now - 3 * 3600) // _GROWTH_STEP * _GROWTH_STEP
    moments = range(end - int(_GROWTH_DAYS * DAY), end, _GROWTH_STEP)
    target = f'{{host="{HOST}",instance="{HOST}",job="vdbmon"}}'
    yield f"# TYPE {total} gauge\n"
    yield from (f"{total}{target} {128 * _GIB} {at}\n" for at in moments)
    yield f"# TYPE {available} gauge\n"
    yield from (f"{available}{target} {100 * _GIB - (at - moments[0]) / DAY * _GIB:.0f} {at}\n" for at in moments)
    yield "# EOF\n"


def _import_runner(daemon: OwnDockerd) -> None:
    """Give the daemon an image of the backup image's name, with what stands for its runner."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, text in (("python3", _RUNNER), ("record.json", record("BACKUP", Kind.LOGICAL).to_json())):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text), 0o755
            tar.addfile(member, io.BytesIO(text.encode()))
    with contextlib.closing(daemon.client()) as client:
        made = client.containers.create(import_busybox(client), ["true"])
        made.put_archive("/bin", archive.getvalue())
        repository, _, tag = backup_tag().partition(":")
        made.commit(repository, tag)
        made.remove()
