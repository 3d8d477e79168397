"""Jobs beside the backup, from `vdbmon place` to what an operator does with the result, on a real engine.

The source is a MariaDB server of this machine. A real agent watches the engine; what is done is done by commands.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from collector import labels
from collector.errors import VdbmonError
from orchestrator.host.volumes import LoopVolumes
from tests.support.agent import Agent
from tests.support.dockerd import OwnDockerd
from tests.support.mariadb import CHECKSUMS, MariaDB, checksums, fill, source, sql_in
from tests.support.site import INVENTORY, Site, head, running_agent, section, watched
from tests.support.sshd import ssh_key, sshd
from tests.support.wait import wait_until

HOST = "db1"
ROWS = 15_000
SERVED = 60.0


@dataclass(frozen=True)
class Shop:
    """The site, its source, and where its second copies are."""

    site: Site
    server: MariaDB
    engine: docker.DockerClient
    copies: Path
    far_copies: Path
    password: Path
    full: str

    def container(self, name: str) -> Container:
        return self.engine.containers.get(name)

    def await_sql(self, name: str, wanted: str, *statements: str) -> None:
        """Return when the server in a container answers so."""
        wait_until(
            lambda: sql_in(self.container(name), *statements) == wanted, deadline=SERVED, what=f"{name} says {wanted}"
        )


@pytest.fixture(scope="module")
def gateway(docker_client: docker.DockerClient, backup_image: str) -> IPv4Address:
    """Where containers of the default network reach this machine; the engine has the image."""
    assert backup_image
    config = docker_client.networks.get("bridge").attrs["IPAM"]["Config"]
    return IPv4Address(config[0]["Gateway"])


@pytest.fixture(scope="module")
def shop(
    tmp_path_factory: pytest.TempPathFactory,
    online_dockerd: OwnDockerd,
    docker_client: docker.DockerClient,
    empty_data: Path,
    gateway: IPv4Address,
) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    for name in ("db", "agent", "prometheus", "ssh", "copies", "far"):
        (folder / name).mkdir()
    password = folder / "restic.password"
    password.touch(mode=0o600)
    password.write_text("of the second copies\n")
    agent = Agent(online_dockerd, folder / "agent", f'[volumes]\ndir = "{folder}/volumes"\n', name=HOST)
    listen = (f"--bind-address={gateway}", "--skip-name-resolve")
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(source(folder / "db", empty_data, *listen, listen=True))
        fill(server, ROWS)
        key = ssh_key(folder / "ssh" / "id")
        authorized = key.with_suffix(".pub").read_text()
        away = stack.enter_context(sshd(folder / "ssh", authorized, address=str(gateway)))
        stack.enter_context(running_agent(agent))
        monitoring = stack.enter_context(watched(folder / "prometheus", {HOST: agent}))
        here: dict[str, object] = {"repository": folder / "copies", "password_file": password}
        keys = {"key_file": key, "known_hosts_file": away.known_hosts}
        there = here | {"repository": f"sftp://root@{gateway}:{away.port}/{folder}/far", "ssh": keys}
        config = head(HOST, folder, monitoring.url)
        config += section("hosts", name=HOST, docker=online_dockerd.address, agent=agent.url, inventory=INVENTORY)
        config += described("shop", server, gateway, here) + described("shop-far", server, gateway, there)
        (folder / "vdbmon.toml").write_text(config)
        site = Site(folder / "vdbmon.toml")
        try:
            site.await_open("shop")
            site.place("full", "shop", "--wait")
            full = site.catalogue()["full"]["id"]
            yield Shop(site, server, docker_client, folder / "copies", folder / "far", password, full)
        finally:
            clear(docker_client, folder / "volumes")


def described(name: str, server: MariaDB, address: IPv4Address, copy: Mapping[str, object]) -> str:
    """The server as a source."""
    return section(
        "sources",
        name=name,
        reach="local",
        host=HOST,
        address=f"unix://{server.socket}",
        sql_address=f"tcp://{address}:{server.port}",
        credentials_file=server.credentials,
        data_dir=server.data,
        server_data_dir=server.data,
        copy=copy,
    )


def clear(engine: docker.DockerClient, volumes: Path) -> None:
    """Remove all that was placed, for others use the engine."""
    for container in engine.containers.list(all=True, filters={"label": f"{labels.MANAGED}=true"}):
        container.remove(force=True)
    left = LoopVolumes(volumes)
    for name in left.list():
        wait_until(partial(gone, left, name), deadline=60.0, what=f"{name} is removed")


def gone(volumes: LoopVolumes, name: str) -> bool:
    """Whether it could be removed; a process that copies all mounts of the host may hold it for a moment."""
    with contextlib.suppress(VdbmonError):
        volumes.remove(name)
        return True
    return False


@pytest.fixture
def launched(shop: Shop) -> Iterator[Callable[..., str]]:
    """Places what runs until it is stopped; it is removed afterwards."""
    names: list[str] = []

    def launch(name: str, *words: str) -> str:
        names.append(name)
        return shop.site.place(name, "shop", *words)

    yield launch
    for name in names:
        shop.site.run("rm", "--volume", name)


def test_a_dump_is_made_and_one_table_of_it_served_again(shop: Shop, launched: Callable[..., str]) -> None:
    said = shop.site.place("dump", "shop", "--job", "logical", "--wait")
    assert "launched on db1" in said
    entry = shop.site.catalogue()["dump"]
    assert (entry["kind"], entry["made"], entry["host"]) == ("logical", "done", HOST)
    assert entry["bytes_raw"] > entry["bytes_stored"] > 0
    shown = shop.site.run("backup", "show", entry["id"])
    assert f"{entry['id']}: logical backup of shop, done" in shown
    assert f"restore   {entry['id']}" in shown
    assert "verified" in shop.site.place("dump-v", "shop", "--job", "verify", "--backup", entry["id"], "--wait")
    assert shop.site.catalogue()["dump"]["verified_at"] is not None

    wanted = shop.server.sql("CHECKSUM TABLE shop.items")
    shop.server.sql("UPDATE shop.items SET name = 'overwritten' WHERE id < 500")
    launched("items", "--job", "restore", "--table", "shop.items", "--serve")
    shop.await_sql("items", wanted, "CHECKSUM TABLE shop.items")
    assert sql_in(shop.container("items"), "SHOW TABLES IN shop") == "items\n"


def test_a_standby_follows_tells_its_lag_and_takes_over(shop: Shop, launched: Callable[..., str]) -> None:
    waiting = shop.site.place("standby", "shop", "--job", "standby", "--wait", code=2)
    assert waiting == "vdbmon: job standby runs until it is stopped; leave --wait out; see `vdbmon ps`\n"
    launched("standby", "--job", "standby", "--backup", shop.full)
    shop.server.sql("UPDATE shop.items SET name = 'since the backup' WHERE id = 1")
    shop.await_sql("standby", checksums(shop.server.socket), *CHECKSUMS)
    wait_until(
        lambda: (shop.site.placed("standby")["progress"] or {}).get("lag") is not None,
        deadline=SERVED,
        what="ps tells the lag",
        every=1.0,
    )
    assert "s behind" in shop.site.run("ps")
    refused = sql_in(shop.container("standby"), "SELECT @@read_only")
    assert refused == "1\n"

    said = shop.site.run("promote", "standby")
    assert said == "standby is a primary now, and takes writes at /backup/mysqld.sock of container standby on db1\n"
    shop.server.sql("UPDATE shop.items SET name = 'after the promotion' WHERE id = 2")
    written = sql_in(shop.container("standby"), "INSERT INTO shop.items (name) VALUES ('written there')", "SELECT 1")
    assert written == "1\n"
    assert "after" not in sql_in(shop.container("standby"), "SELECT name FROM shop.items WHERE id = 2")
    assert "promote by " in shop.site.run("explain", "standby")

    shop.container("standby").stop(timeout=60)
    assert shop.site.await_end("standby") == "done"
    shown = shop.site.run("backup", "show", shop.site.catalogue()["standby"]["id"])
    assert f"of        {shop.full}" in shown
    assert "promoted  20" in shown
    kept = shop.site.run("rm", "standby")
    assert "what it holds is nowhere else" in kept, "nobody else has what was written since"


@pytest.mark.parametrize("source_name", ["shop", "shop-far"], ids=["folder", "sftp"])
def test_a_second_copy_is_read_back_without_vdbmon(shop: Shop, source_name: str, tmp_path: Path) -> None:
    name = f"copy-{source_name}"
    if source_name != "shop":
        shop.site.place("far-full", source_name, "--wait")
    site, original = shop.site, "full" if source_name == "shop" else "far-full"
    backup = site.catalogue()[original]
    said = site.place(name, source_name, "--job", "copy", "--backup", backup["id"], "--wait")
    assert "done in" in said
    entry = site.catalogue()[name]
    assert (entry["kind"], entry["made"], entry["parent"]) == ("copy", "done", backup["id"])
    shown = site.run("backup", "show", entry["id"])
    assert f"of        {backup['id']}" in shown
    assert "restore  " not in shown
    assert "copy      in " in shown

    folder = shop.copies if source_name == "shop" else shop.far_copies
    restic = ["restic", "--repo", str(folder), "--password-file", str(shop.password), "--no-cache"]
    subprocess.run([*restic, "restore", "latest", "--target", str(tmp_path)], check=True, capture_output=True)
    (back,) = tmp_path.glob(f"**/{backup['id']}/record.json")
    assert json.loads(back.read_text()) == backup["record"]
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=back.parent, check=True)


def test_ps_tells_how_far_a_backup_is(shop: Shop, launched: Callable[..., str]) -> None:
    launched("slow", "--write-bps", "150KB")

    def told() -> str:
        (row,) = [line.rstrip() for line in shop.site.run("ps").splitlines() if line.startswith(" slow ")]
        return row if row.endswith(" left") else ""

    row = wait_until(told, deadline=60.0, what="bytes, their rate and the time left", every=1.0)
    assert re.search(r" running .* of .*B, .*B/s, \w+ left", row)
