"""Two hosts, and a third machine that places: the first runs a database, the second takes its backups and restores.

Each host is a network namespace with an engine, an agent, and a link to the other. The placing machine reaches the
first one's engine over TLS and the second one's by ssh; of neither does it see kernel or disks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import docker

from orchestrator.settings import SshSettings, TlsSettings
from tests.support.agent import Agent
from tests.support.backup_image import load_backup_image
from tests.support.engine_hosts import (
    Namespace,
    cut_power,
    namespace,
    plain_engine,
    route,
    ssh_server,
    tls_engine,
    wire,
)
from tests.support.mariadb import MariaDB, fill, make_age_key, source
from tests.support.senders import backup_line, certificates, sender
from tests.support.site import INVENTORY, Site, head, running_agent, section, watched
from tests.support.sshd import ssh_key, sshd

FIRST, SECOND = "hosta", "hostb"
BY_SSH, BY_TLS, KEYLESS = "shop", "shop-tls", "shop-keyless"
"""One database as three sources; of the last one the hosts don't have the key."""
POOL = "offsite"
ROWS = 15_000
_SENDER_PORT = 4444
_BRIDGE = IPv4Interface("172.30.9.1/24")
_POOL_RANGE = IPv4Network("172.30.10.0/28")


@dataclass(frozen=True, slots=True)
class TwoHosts:
    """The command line of the placing machine, the database on the first host, a client of the second one's engine."""

    site: Site
    first: Namespace
    server: MariaDB
    second: docker.DockerClient

    def lose_the_first(self) -> None:
        """Its engine, its agent, its database, and every way to it."""
        cut_power(self.first)


@dataclass(frozen=True, slots=True)
class _Source:
    """The database, and how the second host reaches it."""

    server: MariaDB
    address: IPv4Address
    ssh_port: int
    ssh: dict[str, Path]
    tls: dict[str, Path]
    identity: Path


@contextlib.contextmanager
def two_hosts(folder: Path, template: Path) -> Iterator[TwoHosts]:
    """All of it, when the first backup could be placed; the first host has no image, for nothing is to run there."""
    for name in ("db", "tls", "ssh", "sender", "agent-a", "agent-b", "prometheus", "age", "certificates"):
        (folder / name).mkdir()
    with contextlib.ExitStack() as stack:
        first, second = (stack.enter_context(namespace(number)) for number in range(2))
        near, far = wire(first, second)
        for network in (_BRIDGE.network, _POOL_RANGE):
            route(first, network, far)
        engine, address, tls = stack.enter_context(tls_engine(first, folder / "tls"))
        other = stack.enter_context(plain_engine(second, bridge=_BRIDGE))
        port, ssh = stack.enter_context(ssh_server(second, folder / "ssh"))
        by_ssh = f"ssh://root@{second.address}:{port}{other.address.removeprefix('unix://')}"
        agents = {
            FIRST: Agent(engine, folder / "agent-a", name=FIRST, address=str(first.address)),
            SECOND: Agent(other, folder / "agent-b", name=SECOND, address=str(second.address)),
        }
        for agent, where in zip(agents.values(), (first, second), strict=True):
            stack.enter_context(running_agent(agent, *where.command()))
        monitoring = stack.enter_context(watched(folder / "prometheus", agents))
        shop = stack.enter_context(_source(folder, template, first, near))
        config = head("placing", folder, monitoring.url)
        config += _hosts(agents, address, tls, by_ssh, ssh)
        config += section("pools", name=POOL, range=_POOL_RANGE, gateway=_POOL_RANGE[1])
        (folder / "vdbmon.toml").write_text(config + _sources(shop))
        client = stack.enter_context(contextlib.closing(other.client(timeout=120)))
        load_backup_image(client)
        site = Site(folder / "vdbmon.toml")
        site.await_open(BY_SSH)
        yield TwoHosts(site, first, shop.server, client)


@contextlib.contextmanager
def _source(folder: Path, template: Path, where: Namespace, address: IPv4Address) -> Iterator[_Source]:
    """A database in a namespace, with what streams backups of it: an sshd with a forced command, and a TLS service."""
    listen = (f"--bind-address={address}", "--skip-name-resolve")
    files = certificates(folder / "certificates", str(address))
    with contextlib.ExitStack() as stack:
        database = source(folder / "db", template, *listen, listen=True, before=where.command())
        server = stack.enter_context(database)
        fill(server, ROWS)
        inside = tuple(where.command())
        key = ssh_key(folder / "sender" / "id")
        authorized = backup_line(server, key)
        ssh = stack.enter_context(sshd(folder / "sender", authorized, address=str(address), before=inside))
        by_tls = (f"{address}:{_SENDER_PORT}", files("server"), folder / "sender.log")
        stack.enter_context(sender(server, *by_tls, before=inside))
        named = dict(zip(("ca_file", "cert_file", "key_file"), files("client"), strict=True))
        tls = {name: Path(option.partition("=")[2]) for name, option in named.items()}
        identity = make_age_key(folder / "age")
        identity.chmod(0o600)
        yield _Source(server, address, ssh.port, {"key_file": key, "known_hosts_file": ssh.known_hosts}, tls, identity)


def _hosts(agents: dict[str, Agent], tcp: str, tls: TlsSettings, ssh_url: str, ssh: SshSettings) -> str:
    first = {"docker": tcp, "tls": {"ca": tls.ca, "cert": tls.cert, "key": tls.key}}
    second = {"docker": ssh_url, "ssh": {"key": ssh.key, "known_hosts": ssh.known_hosts}}
    return "".join(
        section("hosts", name=name, agent=agent.url, pools=[POOL], inventory=INVENTORY, **reached)
        for (name, agent), reached in zip(agents.items(), (first, second), strict=True)
    )


def _sources(shop: _Source) -> str:
    age = {"recipients_file": shop.identity.with_name("recipients"), "identity_file": shop.identity}
    by_ssh = {"address": f"ssh://root@{shop.address}:{shop.ssh_port}", "ssh": shop.ssh, "encryption": age}
    nowhere = shop.ssh | {"key_file": shop.identity.with_name("nowhere")}
    by_tls = {"address": f"tls://{shop.address}:{_SENDER_PORT}", "tls": shop.tls}
    return "".join(
        section(
            "sources",
            name=name,
            reach="stream",
            host=FIRST,
            sql_address=f"tcp://{shop.address}:{shop.server.port}",
            credentials_file=shop.server.credentials,
            **reached,
        )
        for name, reached in ((BY_SSH, by_ssh), (BY_TLS, by_tls), (KEYLESS, by_ssh | {"ssh": nowhere}))
    )
