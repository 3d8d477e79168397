"""Backups in the volumes of other hosts' engines, over TLS and ssh: found, judged, pruned, decisions kept."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from docker.types import Mount

from collector import labels
from orchestrator.backup.decisions import FILE_NAME, read_decisions
from orchestrator.backup.entries import entry_of
from orchestrator.backup.noting import note_decisions, owed
from orchestrator.backup.pruning import Pruned, judge_source, prune_source
from orchestrator.backup.retention import Held
from orchestrator.backup.runner.record import RECORD_NAME, Kind, Record, State
from orchestrator.backup.scan import Scan, scan
from orchestrator.backup.settings import Retention
from orchestrator.backup.sight import Sight, look_at
from orchestrator.host.blockdevices import device_of
from orchestrator.ledger import Ledger, open_ledger
from orchestrator.placement.scheduler import Scheduler, open_scheduler
from orchestrator.settings import (
    Endpoint,
    FleetSettings,
    HostSettings,
    LedgerSettings,
    Reach,
    SourceSettings,
    VolumeSettings,
)
from tests.support.backups import DAY, record
from tests.support.fleet import MIB
from tests.support.three_engines import SOCKET, SSH, TLS, Engines, three_engines

AWAY = "away"
DEMO = SourceSettings(name="demo", reach=Reach.SQL, address="tcp://demo:3306", retention=Retention(count=1))


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    with three_engines(tmp_path_factory.mktemp("engines")) as started:
        yield started


@dataclass
class Site:
    """A scheduler of all hosts, and what is in their volumes; the catalogue doesn't know it before a scan."""

    scheduler: Scheduler
    engines: Engines

    def stored(self, host: str, name: str, kind: Kind = Kind.FULL, *, age: float = 0.0, **changes: object) -> Record:
        """A backup in an engine's own volume, as its job leaves it."""
        made = record(name, kind, at=time.time() - age, **changes)
        own = {labels.IMAGE: self.engines.image, labels.SOURCE: "demo", labels.REQUEST_ID: f"r-{name}"}
        self.scheduler.parts(host).volumes.create(name, 64 * MIB, own)
        folder = f"/volume/{name}"
        self.run(host, name, f"mkdir {folder} && echo {json.dumps(made.to_json())} >{folder}/{RECORD_NAME}")
        return made

    def run(self, host: str, volume: str, script: str) -> bytes:
        """Do something in a volume; what it says."""
        with contextlib.closing(self.engines.client(host)) as client:
            mount = Mount("/volume", volume, "volume")
            said: bytes = client.containers.run(
                self.engines.image, ["sh", "-c", script], mounts=[mount], remove=True, network_mode="none"
            )
            return said

    def beside(self, host: str, volume: str) -> str:
        return self.run(host, volume, f"cat /volume/{FILE_NAME}").decode()

    def scan(self, ledger: Ledger | None = None, *, forget: frozenset[str] = frozenset()) -> Scan:
        volumes = {name: self.scheduler.parts(name).volumes for name in (SOCKET, *self.scheduler.remote)}
        return scan(ledger or self.scheduler.ledger, volumes, forget=forget, at=time.time())

    def sight(self) -> Sight:
        volumes = {host: parts.volumes for host, parts in self.scheduler.remote.items()}
        return look_at(volumes, local_host=SOCKET, hosts=(TLS, SSH, AWAY))

    def prune(self) -> Pruned:
        scheduler = self.scheduler
        return prune_source(scheduler.ledger, scheduler.remover(), DEMO, sight=self.sight(), who="ann", now=time.time())

    def volumes(self, host: str) -> tuple[str, ...]:
        return self.scheduler.parts(host).volumes.list()


@pytest.fixture
def site(tmp_path: Path, engines: Engines) -> Iterator[Site]:
    disks = {"/": device_of(Path("/var/lib")).path}
    hosts = tuple(replace(host, disks=disks) for host in engines.hosts)
    away = HostSettings(name=AWAY, docker="tcp://127.0.0.1:9", inventory=hosts[0].inventory)
    settings = FleetSettings(
        prometheus=Endpoint(url="http://127.0.0.1:9"),
        ledger=LedgerSettings(url=f"sqlite:///{tmp_path}/ledger.db"),
        volumes=VolumeSettings(dir=tmp_path / "volumes"),
        hosts=(*hosts, away),
        sources=(DEMO,),
    )
    with open_scheduler(settings, SOCKET) as scheduler:
        try:
            yield Site(scheduler, engines)
        finally:
            for host in (TLS, SSH):
                with contextlib.closing(engines.client(host)) as client:
                    for container in client.containers.list(all=True):
                        container.remove(force=True)
                    for volume in client.volumes.list():
                        volume.remove(force=True)


def chain(site: Site, host: str) -> None:
    full = site.stored(host, f"full-{host}", age=3 * DAY)
    site.stored(
        host,
        f"later-{host}",
        Kind.INCREMENTAL,
        age=2 * DAY,
        parent=full.backup_id,
        from_lsn=full.to_lsn,
        to_lsn=2000,
    )


@pytest.mark.parametrize("host", [TLS, SSH])
def test_a_scan_finds_what_is_in_the_volumes_of_other_hosts_and_names_those_that_are_silent(
    site: Site, host: str
) -> None:
    chain(site, host)
    site.run(host, f"full-{host}", f"mkdir /volume/.full-{host}.partial")
    found = site.scan()
    assert [(item.id, item.host, item.kind) for item in found.found] == [
        (f"full-{host}", host, Kind.FULL),
        (f"later-{host}", host, Kind.INCREMENTAL),
    ]
    assert found.odd == ((host, f"volume full-{host}: '.full-{host}.partial' is no whole backup"),)
    assert list(found.silent) == [AWAY]
    assert not found.complete
    assert {item.host for item in site.scheduler.ledger.backups.all()} == {host}
    with contextlib.closing(site.engines.client(host)) as client:
        assert client.containers.list(all=True) == [], "nothing is left of the look"


@pytest.mark.parametrize("host", [TLS, SSH])
def test_what_was_decided_about_a_remote_backup_outlives_the_ledger(site: Site, host: str, tmp_path: Path) -> None:
    chain(site, host)
    site.scan()
    backups = site.scheduler.ledger.backups
    backups.keep(f"full-{host}", why="the audit", until=None, who="ann", at=time.time())
    backups.verified(f"later-{host}", by="v1", at=time.time(), damage=None)
    assert note_decisions(backups, backups.all(), lambda name: site.scheduler.parts(name).volumes) == {}
    assert owed(backups.all()) == ()
    decisions = read_decisions(site.beside(host, f"full-{host}"))
    assert decisions is not None
    assert decisions.keep_why == "the audit"

    backups.keep(f"full-{host}", why="the second audit", until=None, who="ann", at=time.time())
    note_decisions(backups, backups.all(), lambda name: site.scheduler.parts(name).volumes)
    anew = open_ledger(f"sqlite:///{tmp_path}/new.db")
    with contextlib.closing(anew):
        assert set(site.scan(anew).recalled) == {f"full-{host}", f"later-{host}"}
        assert anew.backups.get("full").keep_why == "the second audit"
        assert anew.backups.get("later").state is State.VERIFIED
        assert site.scan(anew).recalled == ()


def test_a_link_beside_a_remote_backup_is_not_followed_and_replaced(site: Site) -> None:
    site.stored(TLS, "full")
    site.run(TLS, "full", f"echo secret >/volume/other && busybox ln -s other /volume/{FILE_NAME}")
    site.scan()
    backups = site.scheduler.ledger.backups
    backups.keep("full", why="the audit", until=None, who="ann", at=time.time())
    assert note_decisions(backups, backups.all(), lambda name: site.scheduler.parts(name).volumes) == {}
    assert read_decisions(site.beside(TLS, "full")) is not None
    assert site.run(TLS, "full", "cat /volume/other") == b"secret\n"


def test_a_prune_reaches_other_hosts_and_leaves_what_it_cannot_see(site: Site) -> None:
    for host in (TLS, SSH):
        chain(site, host)
    site.stored(TLS, "newest")
    site.scan()
    catalogue = site.scheduler.ledger.backups
    hidden = entry_of(record("hidden", at=time.time() - 9 * DAY), host=SSH, volume="hidden")
    away = entry_of(record("far", at=time.time() - 9 * DAY), host=AWAY, volume="far")
    for entry in (hidden, away):
        catalogue.put(entry)
    held = {
        item.backup.id: item.held
        for item in judge_source(site.scheduler.ledger, DEMO, sight=site.sight(), now=time.time())
    }
    assert held["hidden"] is Held.ELSEWHERE
    assert held["far"] is Held.ELSEWHERE
    pruned = site.prune()
    assert (set(pruned.removed), pruned.stopped, pruned.left) == (
        {f"{what}-{host}" for what in ("full", "later") for host in (TLS, SSH)},
        {},
        {},
    )
    for host in (TLS, SSH):
        assert pruned.removed.index(f"later-{host}") < pruned.removed.index(f"full-{host}")
    assert (site.volumes(TLS), site.volumes(SSH)) == (("newest",), ())
    assert catalogue.get("hidden").present
    assert catalogue.get("far").present


def test_a_remote_backup_without_a_volume_is_forgotten_where_its_host_is_named_alone(site: Site) -> None:
    catalogue = site.scheduler.ledger.backups
    catalogue.put(entry_of(record("gone"), host=SSH, volume="gone"))
    (lost,) = site.scan().lost
    assert (lost.backup.id, lost.certain, lost.forgotten) == ("gone", False, False)
    assert catalogue.get("gone").present
    (lost,) = site.scan(forget=frozenset({SSH})).lost
    assert lost.forgotten
    assert not catalogue.get("gone").present


def test_a_removal_that_is_decided_and_out_of_sight_is_told(site: Site) -> None:
    catalogue = site.scheduler.ledger.backups
    catalogue.put(entry_of(record("gone"), host=SSH, volume="gone"))
    catalogue.condemn("demo", lambda backups, _: backups, who="ann", at=time.time())
    pruned = site.prune()
    assert (pruned.removed, list(pruned.left)) == ((), ["gone"])
    assert "run this command on" in pruned.left["gone"]
