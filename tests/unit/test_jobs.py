import re
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import ConfigError
from orchestrator.backup.commands import invocation
from orchestrator.backup.inputs import JobInputs
from orchestrator.decision.request import Request
from orchestrator.decision.resources import Amounts, ResourceClass
from orchestrator.engines.engine import BindMount, NamedMount
from orchestrator.host.blockdevices import BlockDevice
from orchestrator.host.volumes import LoopVolumes, SizedVolume, Volume
from orchestrator.launch.spec import LaunchSpec, container_spec, labels_of, launch_spec, volume_name
from orchestrator.placement.jobs import check_request
from orchestrator.settings import Reach, SourceSettings

NAME = r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,47}"
AMOUNTS: Amounts = MappingProxyType(
    {
        ResourceClass.SLOTS: 1,
        ResourceClass.CPU: 500,
        ResourceClass.MEMORY: 2**30,
        ResourceClass.DISK: 2**30,
        ResourceClass.READ_BPS: 10**7,
        ResourceClass.WRITE_BPS: 2 * 10**7,
    }
)
SOURCE = SourceSettings(
    name="demo",
    reach=Reach.LOCAL,
    address="unix:///srv/demo/run/mysqld.sock",
    credentials_file=Path("/srv/demo/source.cnf"),
    host="db1",
    data_dir=Path("/srv/demo/data"),
)
REQUEST = Request(name="b1", request_id="0123456789abcdef" * 2, source=SOURCE, job="backup", amounts=AMOUNTS)


def no_volume(name: str) -> Volume:
    raise AssertionError(f"no volume {name} is to be read")


def spec_of(request: Request = REQUEST) -> LaunchSpec:
    return launch_spec(request, "image:1", invocation(request, volume_name(request), no_volume))


def test_backup_runs_the_runner_against_the_mounted_socket_and_credentials() -> None:
    spec = spec_of()
    assert spec.command == (
        *("python3", "-m", "runner", "backup", "--source", "demo", "--backup-id", "b1-01234567"),
        *("--target", "/backup", "--socket", "/run/source/mysqld.sock"),
        *("--defaults-file", "/run/secrets/source.cnf"),
    )
    mounted = {
        str(mount.target): (str(mount.source), mount.read_only) for mount in spec.mounts if isinstance(mount, BindMount)
    }
    assert mounted == {
        "/var/lib/mysql": ("/srv/demo/data", True),
        "/run/source": ("/srv/demo/run", True),
        "/run/secrets/source.cnf": ("/srv/demo/source.cnf", True),
    }


def test_only_the_volume_is_writable_and_each_device_is_limited_once() -> None:
    spec = spec_of()
    volume = SizedVolume(
        name="b1",
        size_bytes=2**30,
        image=Path("/volumes/b1.img"),
        mountpoint=Path("/volumes/b1"),
        device=BlockDevice(path=Path("/dev/loop1"), number="7:1"),
    )
    disk = BlockDevice(path=Path("/dev/vda"), number="254:0")
    container = container_spec(spec, volume=volume, disks=[disk, disk], container_labels={})
    assert [
        str(mount.target) for mount in container.mounts if isinstance(mount, NamedMount) or not mount.read_only
    ] == ["/backup"]
    assert [(str(item.path), item.read_bps, item.write_bps) for item in container.devices] == [
        ("/dev/vda", 10**7, None),
        ("/dev/loop1", 10**7, 2 * 10**7),
    ]


def test_digest_follows_the_content() -> None:
    spec = spec_of()
    assert spec.digest() == spec_of().digest()
    assert spec.digest() != replace(spec, memory=1).digest()


def test_labels_say_whose_container_it_is() -> None:
    found = labels_of(REQUEST, generation=7, spec_hash="abc")
    assert found["io.vdbmon.request-id"] == REQUEST.request_id
    assert found["io.vdbmon.generation"] == "7"
    assert all(isinstance(value, str) for value in found.values())


@given(st.from_regex(NAME, fullmatch=True))
def test_every_name_that_is_taken_makes_a_volume_name_that_is_taken(name: str) -> None:
    request = replace(REQUEST, name=name)
    check_request(request)
    volume = volume_name(request)
    assert LoopVolumes(Path("/volumes"))._image(volume) == Path(f"/volumes/{volume}.img")


@given(st.text(max_size=60).filter(lambda name: not re.fullmatch(NAME, name)))
def test_odd_names_are_refused_in_one_line(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_request(replace(REQUEST, name=name))
    assert caught.value.code == "request.name"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", [ResourceClass.CPU, ResourceClass.MEMORY, ResourceClass.DISK])
def test_sizes_that_an_engine_would_refuse_are_refused_first(key: ResourceClass) -> None:
    with pytest.raises(ConfigError, match="too small") as caught:
        check_request(replace(REQUEST, amounts={**AMOUNTS, key: 1}))
    assert caught.value.code == "request.size"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"host": None}, "give its host and its data_dir"),
        ({"data_dir": None}, "give its host and its data_dir"),
        ({"address": "tcp://db1:3306"}, "is no local socket"),
        ({"address": "unix:relative.sock"}, "is no local socket"),
    ],
)
def test_local_source_must_say_where_it_is(change: dict[str, object], said: str) -> None:
    source = replace(SOURCE, **change)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=said):
        check_request(replace(REQUEST, source=source))


def test_a_job_that_reads_backups_alone_asks_nothing_of_its_source() -> None:
    remote = replace(SOURCE, reach=Reach.SQL, address="tcp://db1:3306", host=None, data_dir=None)
    with pytest.raises(ConfigError, match="place --job logical"):
        check_request(replace(REQUEST, source=remote))
    check_request(replace(REQUEST, source=remote, job="verify"))


def test_what_a_job_reads_stands_in_its_spec() -> None:
    inputs = JobInputs(parent="f1", from_lsn=7, host="db1")
    spec = spec_of(replace(REQUEST, inputs=inputs))
    assert spec.reads == ("f1",)
    assert spec.digest() != spec_of().digest()
