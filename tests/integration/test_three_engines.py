"""Three Docker engines as three hosts: one by its socket, one over TLS with client certificates, one by ssh.

Only the first one's kernel counts as this machine's: of the others nothing is read but what their engines, their agent
and Prometheus tell, though all run on one kernel.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from collector import labels
from collector.errors import VdbmonError
from orchestrator.capacity.figures import capacity
from orchestrator.decision.resources import ResourceClass
from orchestrator.engines.docker_engine import DockerEngine
from orchestrator.engines.engine import EngineUnreachableError, LiveLimits
from orchestrator.engines.named_volumes import READER_JOB, reader_name
from orchestrator.host.blockdevices import device_of
from orchestrator.host.limits import Told
from orchestrator.launch import LaunchFailedError
from orchestrator.ledger import LaunchState
from orchestrator.placement.live_limits import LimitsRefusedError, set_limits
from orchestrator.placement.rebuild import find, rebuild, rebuild_ledger
from orchestrator.placement.scheduler import open_scheduler
from orchestrator.reconcile import auditor
from orchestrator.settings import Endpoint, FleetSettings, HostSettings, LedgerSettings, SourceSettings, VolumeSettings
from tests.support.agent import VDBMON, Agent
from tests.support.fleet import MIB, SMALL, Exporter, exporter, source
from tests.support.schemas import schema
from tests.support.servers import Server, process
from tests.support.three_engines import (
    HOSTS,
    POOL,
    SOCKET,
    SSH,
    TLS,
    Engines,
    Fleet,
    leave_record,
    monitored,
    opened,
    three_engines,
    toml,
    vdbmon,
)
from tests.support.wait import wait_until
from vdbmon.placing import place_and_tell


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    with three_engines(tmp_path_factory.mktemp("engines")) as started:
        yield started


@pytest.fixture(scope="module")
def metrics() -> Iterator[Exporter]:
    with exporter() as served:
        served.disk = str(device_of(Path("/var/lib")).path)
        yield served


@pytest.fixture(scope="module")
def monitoring(tmp_path_factory: pytest.TempPathFactory, metrics: Exporter) -> Iterator[Server]:
    with monitored(tmp_path_factory.mktemp("prometheus"), metrics) as server:
        yield server


@pytest.fixture
def sources(tmp_path: Path) -> Iterator[tuple[SourceSettings, ...]]:
    with contextlib.ExitStack() as stack:
        yield tuple(
            replace(stack.enter_context(source(tmp_path / f"source-{host}")), name=f"of-{host}", host=host)
            for host in HOSTS
        )


@pytest.fixture
def settings(
    tmp_path: Path, engines: Engines, monitoring: Server, sources: tuple[SourceSettings, ...]
) -> FleetSettings:
    return FleetSettings(
        prometheus=Endpoint(url=monitoring.url),
        ledger=LedgerSettings(url=f"sqlite:///{tmp_path}/state/ledger.db"),
        volumes=VolumeSettings(dir=tmp_path / "volumes"),
        hosts=engines.hosts,
        sources=sources,
        pools=(POOL,),
    )


@pytest.fixture
def fleet(settings: FleetSettings, engines: Engines) -> Iterator[Fleet]:
    with opened(settings, engines) as found:
        found.await_open()
        yield found


def test_jobs_land_on_the_host_that_holds_their_source(fleet: Fleet) -> None:
    told = {}
    for host in HOSTS:
        placement = fleet.place(f"on-{host}", host, "sleep", "600")
        assert placement.decision.host == host
        assert placement.launched is not None
        assert placement.launched.limits is not None
        told[host] = placement.launched.limits.told
    assert fleet.containers() == {host: [f"on-{host}"] for host in HOSTS}
    assert told == {SOCKET: Told.CGROUP, TLS: Told.ENGINE, SSH: Told.ENGINE}
    assert {status.record.host: status.known for status in fleet.scheduler.statuses()} == dict.fromkeys(HOSTS, True)
    disk = str(device_of(Path("/var/lib")).path)
    for host in (TLS, SSH):
        with contextlib.closing(fleet.engines.client(host)) as client:
            attributes = client.containers.get(f"on-{host}").attrs
            limits = attributes["HostConfig"]
            assert limits["BlkioDeviceWriteBps"] == [{"Path": disk, "Rate": SMALL[ResourceClass.WRITE_BPS]}]
            (mount,) = [item for item in attributes["Mounts"] if item["Type"] == "volume"]
            (volume,) = client.volumes.list()
            assert mount["Name"] == volume.name
            assert volume.attrs["Labels"][labels.SIZE] == str(SMALL[ResourceClass.DISK])
    for host in HOSTS:
        fleet.remove(f"on-{host}")
    assert fleet.containers() == {host: [] for host in HOSTS}
    assert fleet.scheduler.ledger.view().allocated == {}


@pytest.mark.parametrize("frozen", [TLS, SSH])
def test_an_engine_that_hangs_costs_its_own_row_and_nothing_else(fleet: Fleet, frozen: str) -> None:
    for host in HOSTS:
        fleet.place(f"on-{host}", host, "sleep", "600")
    fleet.engines.daemons[frozen].freeze()
    try:
        started = time.monotonic()
        statuses = {status.record.host: status.known for status in fleet.scheduler.statuses()}
        closed = {host.host: {reason.code for reason in host.closed} for host in capacity(fleet.scheduler.snapshot())}
        audit = {row.host: row.unknown for row in auditor(fleet.scheduler).run()}
        elapsed = time.monotonic() - started
        others = [host for host in HOSTS if host != frozen]
        assert statuses == {host: host != frozen for host in HOSTS}
        assert closed == {host: {"engine.unreachable"} if host == frozen else set() for host in HOSTS}
        assert {host: said is None for host, said in audit.items()} == {host: host != frozen for host in HOSTS}
        assert "no answer in time" in str(audit[frozen])
        for host in others:
            fleet.remove(f"on-{host}")
            assert fleet.place(f"again-{host}", host, "sleep", "600").launched is not None
        refused = fleet.place("refused", frozen, "sleep", "600")
        assert "engine.unreachable" in refused.decision.codes(frozen)
        with pytest.raises(EngineUnreachableError):
            fleet.remove(f"on-{frozen}")
        assert elapsed < 20
    finally:
        fleet.engines.daemons[frozen].thaw()
    assert fleet.remove(f"on-{frozen}")[0]


@pytest.mark.parametrize("host", [TLS, SSH])
def test_a_good_backup_in_a_remote_volume_is_kept_until_it_is_named(fleet: Fleet, host: str) -> None:
    volume = leave_record(fleet, host, "b1")
    assert fleet.remove("b1") == ((), (volume,))
    assert fleet.containers()[host] == [], "nor is there one that looked into the volume"
    assert fleet.scheduler.ledger.view().allocated == {host: {ResourceClass.DISK: SMALL[ResourceClass.DISK]}}
    assert fleet.remove("b1") == ((), (volume,)), "also without its container"
    with contextlib.closing(fleet.engines.client(host)) as client:
        (kept,) = client.volumes.list()
        leftover = {**kept.attrs["Labels"], labels.JOB: READER_JOB}
        client.containers.create(
            fleet.engines.image, ["true"], name=reader_name(volume), labels=leftover, volumes=[f"{volume}:/volume"]
        )
        found = rebuild({host: find(fleet.scheduler, host)}, who="test", at=1.0).restored
        assert [(record.state, record.volume) for record in found.launches] == [(LaunchState.REMOVED, volume)]
        assert fleet.remove("b1", with_volume=True) == ((volume,), ())
        assert client.volumes.list() == client.containers.list(all=True) == []
    assert fleet.scheduler.ledger.view().allocated == {}


def test_a_link_to_a_record_is_no_backup_and_other_volumes_are_left_alone(fleet: Fleet) -> None:
    with contextlib.closing(fleet.engines.client(TLS)) as client:
        client.volumes.create("somebodys")
        volume = leave_record(fleet, TLS, "b1", link=True)
        assert fleet.remove("b1") == ((volume,), ())
        assert [item.name for item in client.volumes.list()] == ["somebodys"]
        volumes = fleet.scheduler.parts(TLS).volumes
        volumes.remove("somebodys")
        assert (volumes.get("somebodys"), volumes.list()) == (None, ())
        assert [item.name for item in client.volumes.list()] == ["somebodys"]
        with pytest.raises(VdbmonError, match="of somebody else") as caught:
            volumes.create("somebodys", MIB, {labels.REQUEST_ID: "r1"})
        assert caught.value.code == "volume.exists"


def test_containers_get_fixed_addresses_of_their_pool_never_the_same_twice(fleet: Fleet) -> None:
    given = []
    for number in range(4):
        host = HOSTS[number % 3]
        assert fleet.place(f"b{number}", host, "sleep", "600", pool=POOL.name).launched is not None
        with contextlib.closing(fleet.engines.client(host)) as client:
            networks = client.containers.get(f"b{number}").attrs["NetworkSettings"]["Networks"]
            assert list(networks) == ["vdbmon-backup"]
            given.append(networks["vdbmon-backup"]["IPAddress"])
            network = client.networks.get("vdbmon-backup").attrs
            assert network["Labels"] == {labels.MANAGED: "true", labels.POOL: "backup", labels.VLAN: "120"}
            assert network["IPAM"]["Config"] == [{"Subnet": "10.91.0.0/29", "Gateway": "10.91.0.1"}]
    assert given == [f"10.91.0.{last}" for last in (3, 4, 5, 6)]
    refused = fleet.place("b4", SOCKET, "sleep", "600", pool=POOL.name)
    assert "pool.full" in refused.decision.codes(SOCKET)
    fleet.remove("b1")
    assert "pool.full" in fleet.place("b4", SOCKET, "sleep", "600", pool=POOL.name).decision.codes(SOCKET)
    wait_until(
        lambda: fleet.place("b4", SOCKET, "sleep", "600", pool=POOL.name).launched, deadline=20.0, what="it has rested"
    )
    with contextlib.closing(fleet.engines.client(SOCKET)) as client:
        settings = client.containers.get("b4").attrs["NetworkSettings"]
    assert settings["Networks"]["vdbmon-backup"]["IPAddress"] == "10.91.0.4"
    assert [row.leaks for row in auditor(fleet.scheduler).run()] == [(), (), ()]


def test_a_network_of_another_range_is_refused_and_left_alone(fleet: Fleet, settings: FleetSettings) -> None:
    other = replace(POOL, name="other", range=IPv4Network("10.92.0.0/29"), gateway=IPv4Address("10.92.0.1"))
    moved = replace(other, range=IPv4Network("10.93.0.0/29"), gateway=IPv4Address("10.93.0.1"))
    hosts = tuple(replace(host, pools=("other",)) for host in settings.hosts)
    with opened(replace(settings, pools=(other,), hosts=hosts), fleet.engines) as first:
        first.place("b1", TLS, "sleep", "600", pool="other")
        first.remove("b1")
    with opened(replace(settings, pools=(moved,), hosts=hosts), fleet.engines) as second:
        with pytest.raises(LaunchFailedError, match=r"has 10\.92\.0\.0/29, pool other has 10\.93\.0\.0/29") as caught:
            second.place("b1", TLS, "sleep", "600", pool="other")
        assert caught.value.code == "network.differs"
        assert second.scheduler.ledger.pools.held() == ()
    with contextlib.closing(fleet.engines.client(TLS)) as client:
        client.networks.get("vdbmon-other").remove()


def test_a_lost_ledger_gets_volumes_and_addresses_of_remote_hosts_back(
    fleet: Fleet, settings: FleetSettings, tmp_path: Path
) -> None:
    fleet.place("b1", TLS, "sleep", "600", pool=POOL.name)
    volume = leave_record(fleet, SSH, "b2")
    fleet.remove("b2")
    lost = replace(settings, ledger=LedgerSettings(url=f"sqlite:///{tmp_path}/new.db"))
    with open_scheduler(lost, SOCKET) as scheduler:
        rebuilt = rebuild_ledger(scheduler)
        assert rebuilt.unknown == {}
        assert {record.name: record.host for record in rebuilt.restored.launches} == {"b1": TLS, "b2": SSH}
        before, after = fleet.scheduler.ledger, scheduler.ledger
        assert after.view().allocated == before.view().allocated
        assert after.pools.held() == before.pools.held() != ()
        assert [record.volume for record in after.launches_named("b2")] == [volume]


def unreachable(host: HostSettings) -> str:
    engine = DockerEngine(host.docker, tls=host.tls, ssh=host.ssh)
    try:
        with pytest.raises(VdbmonError) as caught:
            engine.probe()
    finally:
        engine.close()
    assert "\n" not in str(caught.value)
    return f"{caught.value.code}: {caught.value}"


def test_keys_that_others_can_read_and_strangers_are_refused_in_one_line(engines: Engines, tmp_path: Path) -> None:
    by_name = {host.name: host for host in engines.hosts}
    tls, ssh = by_name[TLS], by_name[SSH]
    assert tls.tls is not None
    assert ssh.ssh is not None
    loose = tmp_path / "loose.key"
    loose.write_text(tls.tls.key.read_text())
    loose.chmod(0o644)
    said = unreachable(replace(tls, tls=replace(tls.tls, key=loose)))
    assert said.startswith("secrets.mode: hosts.tls.key")
    assert "chmod 600" in said
    said = unreachable(replace(ssh, ssh=replace(ssh.ssh, key=loose)))
    assert said.startswith("secrets.mode: hosts.ssh.key")
    said = unreachable(replace(tls, tls=replace(tls.tls, ca=tls.tls.cert)))
    assert said.startswith("engine.unreachable")
    (tmp_path / "nobody").write_text("")
    said = unreachable(replace(ssh, ssh=replace(ssh.ssh, known_hosts=tmp_path / "nobody")))
    assert said.startswith("engine.unreachable")
    assert "Host key verification failed" in said
    said = unreachable(replace(ssh, docker=re.sub(r":\d+/", ":9/", str(ssh.docker))))
    assert "Connection refused" in said


def test_ssh_is_opened_again_when_it_has_ended_and_leaves_nothing_when_it_is_closed(engines: Engines) -> None:
    host = next(host for host in engines.hosts if host.name == SSH)
    engine = DockerEngine(host.docker, ssh=host.ssh)
    try:
        first = engine.probe().fingerprint
        tunnel = engine.connection._tunnel
        assert tunnel is not None
        folder, process_before = tunnel._folder, tunnel._process
        assert folder is not None
        assert process_before is not None
        process_before.kill()
        process_before.wait()
        assert engine.probe().fingerprint == first
        assert engine.inspect("absent") is None
        process_after = tunnel._process
    finally:
        engine.close()
    assert process_after is not None
    assert process_after.poll() is not None
    assert not folder.exists()


@contextlib.contextmanager
def agent_of(engines: Engines, host: str, folder: Path) -> Iterator[str]:
    """A real agent beside one of the engines; its base URL."""
    agent = Agent(engines.daemons[host], folder)
    agent.config.write_text(agent.config.read_text().replace("testhost", host))
    with process([VDBMON, "agent", "run", "--config", str(agent.config)], agent.log):
        wait_until(agent.scrape, deadline=30.0, what="the agent answers")
        yield f"http://127.0.0.1:{agent.port}"


def test_the_agent_of_a_remote_host_proves_its_limits_also_when_they_are_changed(
    settings: FleetSettings, engines: Engines, fleet: Fleet, tmp_path: Path
) -> None:
    (tmp_path / "agent").mkdir()
    with agent_of(engines, TLS, tmp_path / "agent") as url:
        hosts = tuple(replace(host, agent=url) if host.name == TLS else host for host in settings.hosts)
        with open_scheduler(replace(settings, hosts=hosts), SOCKET) as scheduler:
            watched = Fleet(scheduler, engines)
            placement = watched.place("b1", TLS, "sleep", "600")
            assert placement.launched is not None
            limits = placement.launched.limits
            assert limits is not None
            assert (limits.told, limits.cpu, limits.memory) == (Told.AGENT, 300, 64 * MIB)
            change = set_limits(scheduler, "b1", LiveLimits(cpu=500, memory=128 * MIB, pids=99))
            found = change.found
            assert (found.told, found.cpu, found.memory, found.pids) == (Told.AGENT, 500, 128 * MIB, 99)
            held = scheduler.ledger.view().allocated[TLS]
            assert (held[ResourceClass.CPU], held[ResourceClass.MEMORY]) == (500, 128 * MIB)
            with pytest.raises(LimitsRefusedError, match=r"CPU: 2\.5 cores needed") as caught:
                set_limits(scheduler, "b1", LiveLimits(cpu=3000))
            assert caught.value.code == "capacity.cpu"
            watched.remove("b1")
    assert fleet.scheduler.ledger.view().allocated == {}


def test_the_commands_reach_all_three_by_the_file_and_lose_one_row_to_one_that_hangs(
    fleet: Fleet, settings: FleetSettings, tmp_path: Path
) -> None:
    config = tmp_path / "vdbmon.toml"
    config.write_text(toml(settings))
    words = ("place", "b1", "--source", f"of-{SSH}", "--disk", "1GiB", "--pool", POOL.name, "--dry-run")
    # On a busy machine ssh may take longer to open than a survey waits.
    wait_until(lambda: vdbmon(config, *words).returncode == 0, deadline=60.0, what="the file names all that is needed")
    fleet.place("b2", SSH, "sleep", "600")
    fleet.engines.daemons[SSH].freeze()
    try:
        shown = json.loads(vdbmon(config, "capacity", "--json").stdout)
        assert {row["host"]: [reason["code"] for reason in row["closed"]] for row in shown["hosts"]} == {
            SOCKET: [],
            TLS: [],
            SSH: ["engine.unreachable"],
        }
        (row,) = json.loads(vdbmon(config, "ps", "--json").stdout)
        assert (row["record"]["name"], row["known"]) == ("b2", False)
        gone = vdbmon(config, "rm", "b2")
        assert gone.returncode == 1
        assert "doesn't answer: no answer in time" in gone.stderr
        assert gone.stderr.count("\n") == 1
    finally:
        fleet.engines.daemons[SSH].thaw()
    changed = vdbmon(config, "limits", "set", "b2", "--cpu", "0.5", "--pids", "77")
    assert changed.returncode == 0, changed.stderr
    assert f"b2 on {SSH}: 0.5 cores; 64 MiB; 77 pids" in changed.stdout
    refused = vdbmon(config, "limits", "set", "b2", "--read-bps", "1MB")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "--read-bps can't be changed while a container runs: engines before API 1.55" in refused.stderr
    assert vdbmon(config, "rm", "b2").returncode == 0


def test_placing_on_another_host_says_that_its_volume_has_no_size(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    scheduler = replace(fleet.scheduler, jobs=fleet.jobs("sleep", "600"))
    for host, said in ((SOCKET, False), (TLS, True)):
        request = scheduler.request(f"on-{host}", source=f"of-{host}", job="backup", amounts=SMALL)
        assert place_and_tell(scheduler, request, dry_run=False, wait=False, as_json=False) == 0
        output = capsys.readouterr().out
        assert ("has no size: nothing holds it to 16 MiB" in output) is said
        assert ("as the engine was told" in output) is said
        request = scheduler.request(f"json-{host}", source=f"of-{host}", job="backup", amounts=SMALL)
        assert place_and_tell(scheduler, request, dry_run=False, wait=False, as_json=True) == 0
        document = json.loads(capsys.readouterr().out)
        schema("placement").validate(document)
        assert document["launched"]["volume_sized"] is not said
