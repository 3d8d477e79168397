"""From a placed backup to its end, with the real image on a real engine: increment, verification, restore, prune.

The source is a MariaDB server of this machine; its jobs run in containers that `vdbmon place` launches.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import docker
import pytest

from alerts.thresholds import GATE_FOR
from orchestrator.backup.inputs import JobOptions
from orchestrator.backup.pruning import judge_source, prune_source
from orchestrator.backup.retention import Held
from orchestrator.backup.runner.record import Kind, State
from orchestrator.backup.scan import scan
from orchestrator.backup.settings import Retention
from orchestrator.backup.sight import Sight
from orchestrator.decision.resources import Amounts, ResourceClass
from orchestrator.host.volumes import LoopVolumes, SizedVolume
from orchestrator.ledger import LaunchRecord, LaunchState, open_ledger
from orchestrator.placement.requests import Sizes, Wanted
from orchestrator.placement.scheduler import Scheduler, open_scheduler
from orchestrator.settings import EncryptionSettings, FleetSettings, Reach, SourceSettings
from tests.support.dockerd import OwnDockerd
from tests.support.fleet import HOST, MIB, fleet
from tests.support.mariadb import MariaDB, checksums, fill, make_age_key, running, source
from tests.support.place import always_sampled, removed
from tests.support.servers import Server
from tests.support.wait import wait_until

ROWS = 2_000
WARM = GATE_FOR + 30.0
HERE = Sight(whole=frozenset({HOST}))
AMOUNTS: Amounts = {
    ResourceClass.SLOTS: 1,
    ResourceClass.CPU: 700,
    ResourceClass.MEMORY: 512 * MIB,
    ResourceClass.DISK: 256 * MIB,
    ResourceClass.READ_BPS: 60_000_000,
    ResourceClass.WRITE_BPS: 60_000_000,
}


@dataclass(frozen=True)
class Site:
    """One host with a source, and its scheduler."""

    scheduler: Scheduler
    server: MariaDB

    def place(self, name: str, job: str = "backup", *, size: Amounts = AMOUNTS, **options: object) -> LaunchRecord:
        """Place a job and wait for its end."""
        wanted = Wanted(name=name, source="demo", job=job, amounts=size, options=JobOptions(**options))  # type: ignore[arg-type]
        request = self.scheduler.wanted(wanted)
        placement = self.scheduler.place(request, decided=lambda _: None)
        assert placement.launched is not None, placement.decision
        return self.scheduler.await_end(request.request_id)

    def volume(self, record: LaunchRecord) -> Path:
        """Where its volume is mounted."""
        found = self.scheduler.volumes.get(record.volume or "")
        assert isinstance(found, SizedVolume)
        return found.mountpoint


@pytest.fixture
def site(
    tmp_path: Path, online_dockerd: OwnDockerd, backup_image: str, empty_data: Path, monitoring: Server
) -> Iterator[Site]:
    assert backup_image
    identity = make_age_key(tmp_path)
    identity.chmod(0o600)
    (tmp_path / "db").mkdir()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(source(tmp_path / "db", empty_data))
        fill(server, ROWS)
        settings = SourceSettings(
            name="demo",
            reach=Reach.LOCAL,
            address=f"unix://{server.socket}",
            credentials_file=server.credentials,
            host=HOST,
            data_dir=server.data,
            server_data_dir=server.data,
            encryption=EncryptionSettings(recipients_file=tmp_path / "recipients", identity_file=identity),
            retention=Retention(count=1),
        )
        configured = fleet(tmp_path, docker=online_dockerd.address, prometheus_url=monitoring.url, demo=settings)
        scheduler = stack.enter_context(opened(configured, online_dockerd))
        yield Site(scheduler, server)


@contextlib.contextmanager
def opened(settings: FleetSettings, daemon: OwnDockerd) -> Iterator[Scheduler]:
    with open_scheduler(settings, HOST) as found:
        scheduler = replace(found, sampled=always_sampled)
        request = scheduler.request("probe", source="demo", job="backup", amounts=AMOUNTS)
        wait_until(lambda: scheduler.decide(request).accepted, deadline=WARM, what="the gate is open", every=0.5)
        try:
            yield scheduler
        finally:
            with contextlib.closing(daemon.client(timeout=60)) as client:
                remove_placed(client)
            for volume in scheduler.volumes.list():
                wait_until(lambda name=volume: removed(scheduler, name), deadline=60.0, what=f"{volume} is removed")  # type: ignore[misc]


def remove_placed(client: docker.DockerClient) -> None:
    for container in client.containers.list(all=True, filters={"label": "io.vdbmon.managed=true"}):
        container.remove(force=True)


def test_a_backup_from_its_placement_to_its_end(site: Site) -> None:
    scheduler, catalogue = site.scheduler, site.scheduler.ledger.backups

    full = site.place("full")
    assert full.state is LaunchState.DONE, full.outcome
    first = catalogue.get(full.volume or "")
    assert (first.kind, first.state, first.host, first.source) == (Kind.FULL, State.DONE, HOST, "demo")
    assert first.record["recipients"]

    site.server.sql("USE shop", "INSERT INTO shop.items (name) SELECT CONCAT('later ', seq) FROM seq_1_to_500")
    later = site.place("later", incremental=True)
    assert later.state is LaunchState.DONE, later.outcome
    second = catalogue.get(later.volume or "")
    assert (second.kind, second.parent, second.from_lsn) == (Kind.INCREMENTAL, first.id, first.to_lsn)

    usual = scheduler.amounts(Sizes(given={}, usual=True), "verify", JobOptions(backup=second.id), source="demo")
    verification = site.place("check", "verify", size=usual, backup=second.id)
    assert verification.state is LaunchState.DONE, verification.outcome
    verified = catalogue.get(second.id)
    assert (verified.state, verified.verified_by) == (State.VERIFIED, verification.volume)

    restored = site.place("restored", "restore", size=usual, backup=second.id)
    assert restored.state is LaunchState.DONE, restored.outcome
    assert (site.volume(restored) / (restored.volume or "") / "data" / "shop").is_dir()

    assert_no_secret_shows(site)
    assert_the_ledger_can_be_lost(site, first.id, second.id)
    assert_prune_keeps_what_is_needed(site, full, later)


def test_a_restore_leads_to_the_second_before_a_table_was_dropped(site: Site) -> None:
    scheduler = site.scheduler
    full = site.place("full")
    assert full.state is LaunchState.DONE, full.outcome
    logs = Wanted(name="logs", source="demo", job="binlog", amounts=AMOUNTS)
    following = scheduler.wanted(logs)
    assert scheduler.place(following, decided=lambda _: None).launched is not None

    site.server.sql("DELETE FROM shop.items WHERE id % 3 = 0")
    wanted, before_drop = checksums(site.server.socket), next_second()
    site.server.sql("DROP TABLE shop.items")
    launch = scheduler.ledger.launch(following.request_id)
    assert launch is not None
    wait_until(
        lambda: fetched_until(scheduler, launch) > before_drop, deadline=60, what="the logs are known up to the drop"
    )
    restored = site.place("restored", "restore", until=before_drop)
    assert restored.state is LaunchState.DONE, restored.outcome
    assert restored.outcome is not None
    assert restored.outcome["record"]["restored_to"] == f"{before_drop} UTC"
    data = site.volume(restored) / (restored.volume or "")
    with tempfile.TemporaryDirectory(prefix="vdbmon-look-") as name:
        shutil.copytree(data / "data", Path(name, "data"))
        with running(Path(name)) as server:
            assert checksums(server.socket) == wanted
    assert scheduler.ledger.backups.in_use("demo") == {launch.volume}, "the logs are still followed"


def fetched_until(scheduler: Scheduler, launch: LaunchRecord) -> str:
    """Up to when the source's logs are known to be there, in UTC."""
    found = scheduler.volumes.record(launch.volume or "")
    until = None if found is None else found.restored_to
    return "" if until is None else f"{datetime.fromisoformat(until):%Y-%m-%d %H:%M:%S}"


def next_second() -> str:
    """The next full second, in UTC, when it has begun."""
    now = datetime.now(UTC).replace(microsecond=0)
    wait_until(lambda: datetime.now(UTC).replace(microsecond=0) > now, deadline=5, what="the next second", every=0.05)
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"


def assert_no_secret_shows(site: Site) -> None:
    """Neither the password nor the private key is in what engine and ledger say."""
    exported = "".join(json.dumps(dict(row)) for row in site.scheduler.ledger.export(at=0.0))
    settings = site.scheduler.fleet.sources[0]
    assert settings.encryption is not None
    assert settings.encryption.identity_file is not None
    key = settings.encryption.identity_file.read_text().splitlines()[-1]
    assert key.startswith("AGE-SECRET-KEY-")
    assert "hush4711" not in exported
    assert key not in exported


def assert_the_ledger_can_be_lost(site: Site, *ids: str) -> None:
    """A new ledger learns from the volumes what it needs for a restore."""
    folder = site.scheduler.fleet.volumes.dir
    ledger = open_ledger(f"sqlite:///{folder.parent}/new.db")
    try:
        found = scan(ledger, {HOST: LoopVolumes(folder)}, at=site.scheduler.clock())
        assert found.complete, found
        known = {backup.id: backup for backup in site.scheduler.ledger.backups.all()}
        anew = {backup.id: backup for backup in ledger.backups.all()}
        assert set(anew) == set(known)
        for backup_id in ids:
            assert (anew[backup_id].to_lsn, anew[backup_id].parent) == (
                known[backup_id].to_lsn,
                known[backup_id].parent,
            )
            assert anew[backup_id].record["files"] == known[backup_id].record["files"]
        assert anew[ids[1]].state is State.VERIFIED, "the verification's own volume says so"
    finally:
        ledger.close()


def assert_prune_keeps_what_is_needed(site: Site, full: LaunchRecord, later: LaunchRecord) -> None:
    scheduler = site.scheduler
    ledger, settings = scheduler.ledger, scheduler.fleet.sources[0]
    verdicts = {item.backup.id: item.held for item in judge_source(ledger, settings, sight=HERE, now=scheduler.clock())}
    assert verdicts == {later.volume: Held.LAST, full.volume: Held.NEEDED}

    newest = site.place("newest")
    assert newest.state is LaunchState.DONE, newest.outcome
    pruned = prune_source(ledger, scheduler.remover(), settings, sight=HERE, who="ann", now=scheduler.clock())
    assert (pruned.removed, pruned.stopped) == ((later.volume, full.volume), {}), "children first"
    left = set(scheduler.volumes.list())
    assert newest.volume in left
    assert not left & {full.volume, later.volume}
    assert ledger.backups.get(full.volume or "").removed_at is not None
    assert ledger.held(full.request_id) == {}
    again = prune_source(ledger, scheduler.remover(), settings, sight=HERE, who="ann", now=scheduler.clock())
    assert again.removed == ()
