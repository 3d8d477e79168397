"""Backups from one host to another, and what is left when the first is lost: by the command line, on real engines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.mariadb import CHECKSUMS, PASSWORD, checksums, sql_in
from tests.support.two_hosts import BY_SSH, BY_TLS, KEYLESS, POOL, SECOND, TwoHosts, two_hosts
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(600)  # the image may have to be built first
SERVED = 90.0
FAR_BEHIND = 5.0


@dataclass(frozen=True)
class BackedUp:
    """The hosts, with backups of the first one's database on the second, and a standby of it; its tables as they were.

    Attributes:
        said: what `vdbmon place` printed, by name.
    """

    hosts: TwoHosts
    said: dict[str, str]
    tables: str

    def sql(self, name: str, *statements: str) -> str:
        """Answered by the server in a container of the second host."""
        return sql_in(self.hosts.second.containers.get(name), *statements)

    def await_tables(self, name: str) -> None:
        wait_until(lambda: self.sql(name, *CHECKSUMS) == self.tables, deadline=SERVED, what=f"{name} has all tables")


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory, empty_data: Path) -> Iterator[TwoHosts]:
    with two_hosts(tmp_path_factory.mktemp("two-hosts"), empty_data) as both:
        yield both


@pytest.fixture(scope="module")
def backed_up(hosts: TwoHosts) -> BackedUp:
    site = hosts.site
    said = {"full": site.place("full", BY_SSH, "--wait")}
    hosts.server.sql("UPDATE shop.items SET name = 'after the full one' WHERE id < 300")
    said["increment"] = site.place("increment", BY_SSH, "--incremental", "--wait")
    said["tls"] = site.place("by-tls", BY_TLS, "--pool", POOL, "--wait")
    said["standby"] = site.place("standby", BY_SSH, "--job", "standby")
    return BackedUp(hosts, said, checksums(hosts.server.socket))


@pytest.fixture(scope="module")
def lost(backed_up: BackedUp) -> BackedUp:
    """The same without the first host."""
    backed_up.await_tables("standby")
    backed_up.hosts.lose_the_first()
    return backed_up


def test_streamed_backups_land_on_the_other_host_and_nothing_of_a_secret_shows_there(backed_up: BackedUp) -> None:
    site = backed_up.hosts.site
    assert "source.same_host: source shop itself is on it" in backed_up.said["full"]
    assert f"launched on {SECOND}" in backed_up.said["full"]
    entries = site.catalogue()
    assert {name: (entry["kind"], entry["made"], entry["host"]) for name, entry in entries.items()} == {
        "full": ("full", "done", SECOND),
        "increment": ("incremental", "done", SECOND),
        "by-tls": ("full", "done", SECOND),
    }
    full, increment = entries["full"], entries["increment"]
    assert full["record"]["recipients"]
    assert f"restore   {full['id']} <- {increment['id']}" in site.run("backup", "show", increment["id"])
    inspected = json.dumps([item.attrs for item in backed_up.hosts.second.containers.list(all=True)])
    assert PASSWORD not in inspected
    assert "PRIVATE KEY" not in inspected


def test_a_file_that_the_other_host_lacks_is_named_and_nothing_is_left(hosts: TwoHosts) -> None:
    said = hosts.site.place("keyless", KEYLESS, code=1).splitlines()[-1]
    assert said.startswith("vdbmon: keyless was not launched: the host of engine ssh://")
    assert "/nowhere, which the job needs; put it there" in said
    assert "keyless" not in hosts.site.run("ps")


def test_a_standby_on_the_other_host_tells_its_lag(backed_up: BackedUp) -> None:
    def lag() -> bool:
        progress = backed_up.hosts.site.placed("standby")["progress"] or {}
        return progress.get("lag") is not None

    backed_up.await_tables("standby")
    wait_until(lag, deadline=SERVED, what="ps tells the lag", every=1.0)


@pytest.mark.parametrize("source", [BY_SSH, BY_TLS])
def test_what_was_streamed_is_restored_on_the_other_host_when_the_first_is_lost(lost: BackedUp, source: str) -> None:
    name = f"restored-{source}"
    said = lost.hosts.site.place(name, source, "--job", "restore", "--serve")
    first, _, second = said.partition(f"\n {SECOND} ")
    assert "engine.unreachable" in first, said
    assert f"on {SECOND}, not here" in first, said
    assert "[hosts.disks]" not in first, "what follows from that is not said as well"
    assert second.lstrip().startswith("chosen"), said
    assert f"launched on {SECOND}" in second, said
    lost.await_tables(name)


def test_a_standby_whose_source_is_gone_is_behind_until_it_takes_over(lost: BackedUp) -> None:
    def lag() -> float:
        return float((lost.hosts.site.placed("standby")["progress"] or {}).get("lag") or 0.0)

    wait_until(lambda: lag() > FAR_BEHIND, deadline=SERVED, what="the lag grows", every=1.0)
    assert "standby is a primary now" in lost.hosts.site.run("promote", "standby")
    assert lost.sql("standby", *CHECKSUMS) == lost.tables
    assert lost.sql("standby", "SELECT @@read_only") == "0\n"


def test_a_backup_of_what_is_lost_fails_with_its_reason_and_costs_no_other(lost: BackedUp) -> None:
    site = lost.hosts.site
    said = site.place("late", BY_SSH, "--wait", code=1)
    failure = said.strip().splitlines()[-1]
    assert re.match("vdbmon: late (failed|was not launched): ", failure), "it may end as it starts"
    assert "No route to host" in failure or "timed out" in failure
    assert "see that the source runs" in failure
    made = {name: entry["made"] for name, entry in site.catalogue().items()}
    assert made.get("late", "failed") == "failed"
    assert {made[name] for name in ("full", "increment", "by-tls")} == {"done"}
