"""Three engines as three hosts, and a scheduler of theirs whose jobs the test chooses."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import docker

from alerts.thresholds import GATE_FOR
from orchestrator.backup.runner.record import RECORD_NAME
from orchestrator.capacity.figures import capacity
from orchestrator.decision.request import Wishes
from orchestrator.ledger import LaunchState
from orchestrator.placement.jobs import Job
from orchestrator.placement.outcomes import Placement
from orchestrator.placement.scheduler import Scheduler, open_scheduler
from orchestrator.settings import FleetSettings, HostSettings, Inventory, PoolSettings, parse_address_range
from tests.support.agent import VDBMON
from tests.support.dockerd import OwnDockerd, import_busybox
from tests.support.engine_hosts import namespace, plain_engine, ssh_server, tls_engine
from tests.support.fleet import GIB, RULES, SMALL, Exporter
from tests.support.place import always_sampled, good_record, own_jobs, removed
from tests.support.servers import Server, prometheus
from tests.support.wait import wait_until

SOCKET, TLS, SSH = "db1", "db2", "db3"
HOSTS = (SOCKET, TLS, SSH)
WARM = GATE_FOR + 30.0
POOL = PoolSettings(
    name="backup",
    range=IPv4Network("10.91.0.0/29"),
    gateway=IPv4Address("10.91.0.1"),
    vlan=120,
    exclude=(parse_address_range("10.91.0.2"),),
    quarantine=2.0,
)
INVENTORY = Inventory(cpus=2, memory=8 * GIB, disk=20 * GIB, read_bps=200_000_000, write_bps=200_000_000)
SCRAPES = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs:
  - job_name: vdbmon
    honor_labels: true
    static_configs:
      - {{targets: ["127.0.0.1:{port}"], labels: {{host: {a}}}}}
      - {{targets: ["127.0.0.1:{port}"], labels: {{host: {b}}}}}
      - {{targets: ["127.0.0.1:{port}"], labels: {{host: {c}}}}}
"""


@dataclass(frozen=True, slots=True)
class Engines:
    """The engines by host, and how the fleet's configuration names them."""

    daemons: Mapping[str, OwnDockerd]
    hosts: tuple[HostSettings, ...]
    image: str

    def client(self, host: str) -> docker.DockerClient:
        """A client past vdbmon: by the socket, also of those that vdbmon reaches otherwise."""
        return self.daemons[host].client(timeout=30)


@dataclass
class Fleet:
    """A scheduler of the three."""

    scheduler: Scheduler
    engines: Engines

    def jobs(self, *command: str) -> Mapping[str, Job]:
        """One job, which runs this command."""
        return own_jobs(self.engines.image, lambda _: command)

    def place(self, name: str, host: str, *command: str, pool: str | None = None) -> Placement:
        scheduler = replace(self.scheduler, jobs=self.jobs(*command))
        request = scheduler.request(name, source=f"of-{host}", job="backup", amounts=SMALL)
        return scheduler.place(replace(request, wishes=Wishes(pool=pool)), decided=lambda _: None)

    def closed(self) -> dict[str, set[str]]:
        """Codes of what closes a host, of those that are closed."""
        hosts = capacity(self.scheduler.snapshot())
        return {host.host: {reason.code for reason in host.closed} for host in hosts if host.closed}

    def await_open(self) -> None:
        seen: list[object] = []

        def is_open() -> bool:
            seen[:] = [self.closed()]
            return not seen[0]

        try:
            wait_until(is_open, deadline=WARM, what="all three are open", every=0.5)
        except AssertionError as error:
            raise AssertionError(str(seen)) from error

    def remove(self, name: str, *, with_volume: bool = False) -> tuple[tuple[str, ...], tuple[str, ...]]:
        removal = self.scheduler.remover().remove(name, with_volume=with_volume, engine_lost=False)
        return removal.volumes_removed, removal.volumes_kept

    def containers(self) -> dict[str, list[str]]:
        found = {}
        for host in HOSTS:
            with contextlib.closing(self.engines.client(host)) as client:
                found[host] = [str(item.name) for item in client.containers.list(all=True)]
        return found


@contextlib.contextmanager
def three_engines(folder: Path) -> Iterator[Engines]:
    """All three, with a tiny image; certificates and keys are in the folder."""
    for name in ("tls", "ssh"):
        (folder / name).mkdir()
    with contextlib.ExitStack() as stack:
        places = [stack.enter_context(namespace(number)) for number in range(3)]
        local = stack.enter_context(plain_engine(places[0]))
        remote, address, tls = stack.enter_context(tls_engine(places[1], folder / "tls"))
        far = stack.enter_context(plain_engine(places[2]))
        port, ssh = stack.enter_context(ssh_server(places[2], folder / "ssh"))
        daemons = {SOCKET: local, TLS: remote, SSH: far}
        (image,) = {import_busybox(daemon.client()) for daemon in daemons.values()}
        path = far.address.removeprefix("unix://")
        common = {"inventory": INVENTORY, "pools": (POOL.name,), "agent": "http://127.0.0.1:9"}
        hosts = (
            HostSettings(name=SOCKET, docker=local.address, **common),  # type: ignore[arg-type]
            HostSettings(name=TLS, docker=address, tls=tls, **common),  # type: ignore[arg-type]
            HostSettings(
                name=SSH,
                docker=f"ssh://root@{places[2].address}:{port}{path}",
                ssh=ssh,
                **common,  # type: ignore[arg-type]
            ),
        )
        yield Engines(daemons, hosts, image)


@contextlib.contextmanager
def monitored(folder: Path, metrics: Exporter) -> Iterator[Server]:
    """A Prometheus that scrapes one exporter as the agents of all three."""
    (folder / "rules.yml").write_text(RULES)
    with prometheus(folder, SCRAPES.format(port=metrics.port, a=SOCKET, b=TLS, c=SSH)) as server:
        yield server


@contextlib.contextmanager
def opened(settings: FleetSettings, engines: Engines) -> Iterator[Fleet]:
    with open_scheduler(settings, SOCKET) as scheduler:
        fleet = Fleet(replace(scheduler, sampled=always_sampled), engines)
        try:
            yield fleet
        finally:
            for host in HOSTS:
                with contextlib.closing(engines.client(host)) as client:
                    for container in client.containers.list(all=True):
                        container.remove(force=True)
                    for volume in client.volumes.list():
                        volume.remove(force=True)
            for name in fleet.scheduler.volumes.list():
                wait_until(lambda name=name: removed(scheduler, name), deadline=60.0, what=f"{name} is removed")  # type: ignore[misc]


def leave_record(fleet: Fleet, host: str, name: str, *, link: bool = False) -> str:
    """Run a job that leaves a good backup's record in its volume, or a link to one; the volume's name."""
    jobs = own_jobs(fleet.engines.image, lambda volume: ("sh", "-c", script(volume, link=link)))
    scheduler = replace(fleet.scheduler, jobs=jobs)
    request = scheduler.request(name, source=f"of-{host}", job="backup", amounts=SMALL)
    placement = scheduler.place(request, decided=lambda _: None)
    assert placement.launched is not None
    assert scheduler.await_end(request.request_id).state is LaunchState.DONE
    return placement.launched.volume


def script(volume: str, *, link: bool) -> str:
    folder = f"/backup/{volume}"
    record = f"{folder}/{'elsewhere' if link else RECORD_NAME}"
    text = f"mkdir {folder} && echo {json.dumps(good_record(volume))} >{record}"
    return f"{text} && busybox ln -s elsewhere {folder}/{RECORD_NAME}" if link else text


def toml(settings: FleetSettings) -> str:
    """The fleet as an operator writes it."""
    lines = [
        f'[host]\nname = "{SOCKET}"\n[prometheus]\nurl = "{settings.prometheus.url}"',
        f'[ledger]\nurl = "{settings.ledger.url}"\n[volumes]\ndir = "{settings.volumes.dir}"',
        f'[[pools]]\nname = "{POOL.name}"\nrange = "{POOL.range}"\ngateway = "{POOL.gateway}"\nvlan = 120',
    ]
    for host in settings.hosts:
        lines.append(f'[[hosts]]\nname = "{host.name}"\ndocker = "{host.docker}"\npools = ["{POOL.name}"]')
        lines.append('inventory = {cpus = 2, memory = "8GiB", disk = "20GiB", read_bps = "200MB", write_bps = "200MB"}')
        if host.tls is not None:
            lines.append(f'tls = {{ca = "{host.tls.ca}", cert = "{host.tls.cert}", key = "{host.tls.key}"}}')
        if host.ssh is not None:
            lines.append(f'ssh = {{key = "{host.ssh.key}", known_hosts = "{host.ssh.known_hosts}"}}')
    for item in settings.sources:
        lines.append(
            f'[[sources]]\nname = "{item.name}"\nreach = "local"\nhost = "{item.host}"\naddress = "{item.address}"'
        )
        lines.append(f'credentials_file = "{item.credentials_file}"\ndata_dir = "{item.data_dir}"')
    return "\n".join(lines)


def vdbmon(config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """One command of the CLI on that file."""
    command = [VDBMON, *words, "--config", str(config)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
