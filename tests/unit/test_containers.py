import json
from pathlib import Path
from typing import Any

from collector.cgroup.hierarchy import Hierarchy
from collector.container_labels import container_labels, label_name
from collector.containers import Container, ContainerIndex, ContainerMount, Metadata, parse_metadata, read_metadata

ID = "0123456789abcdef" * 4
CONFIG: dict[str, Any] = {
    "Name": "/demo-backup",
    "Config": {"Image": "vdbmon/backup:0.1.0", "Labels": {"io.vdbmon.source": "demo"}},
    "State": {"Pid": 41, "StartedAt": "2026-11-23T05:10:00.123456789Z"},
}


class Docker:
    """A data root as the daemon keeps it, and a cgroup tree beside it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "docker-root"
        self.cgroups = folder / "cgroup"
        self.index = ContainerIndex(Hierarchy(self.cgroups, {}), lambda key: read_metadata(self.root, key))

    def start(self, name: str, pid: int, container_id: str = ID) -> None:
        cgroup = self.cgroups / "docker" / container_id
        cgroup.mkdir(parents=True, exist_ok=True)
        (cgroup / "cgroup.procs").write_text(f"{pid}\n")
        self.write(name, pid, container_id)

    def write(self, name: str, pid: int, container_id: str = ID) -> None:
        files = self.root / "containers" / container_id
        files.mkdir(parents=True, exist_ok=True)
        state = {"Pid": pid, "StartedAt": CONFIG["State"]["StartedAt"]}
        (files / "config.v2.json").write_text(json.dumps({**CONFIG, "Name": f"/{name}", "State": state}))
        (files / "hostconfig.json").write_text('{"NetworkMode": "none"}')


def test_metadata_is_read_as_docker_writes_it() -> None:
    assert parse_metadata(CONFIG, {"NetworkMode": "none"}) == Metadata(
        name="demo-backup",
        image="vdbmon/backup:0.1.0",
        labels={"io.vdbmon.source": "demo"},
        pid=41,
        started_at=1795410600.123456,
        network_mode="none",
    )


def test_mounts_are_read_as_docker_writes_them() -> None:
    mount_points = {
        "/t": {"Source": "", "Destination": "/t", "RW": True, "Name": "", "Type": "tmpfs"},
        "/backup": {"Source": "/volumes/b1", "Destination": "/backup", "RW": True, "Name": "", "Type": "bind"},
        "/data": {
            "Source": "/var/lib/docker/volumes/v1/_data",
            "Destination": "/data",
            "RW": False,
            "Name": "v1",
            "Driver": "local",
            "Type": "volume",
            "Spec": {"Type": "volume", "Source": "v1", "Target": "/data"},
        },
    }
    assert parse_metadata({**CONFIG, "MountPoints": mount_points}, {}).mounts == (
        ContainerMount("bind", "", "/volumes/b1", "/backup", writable=True),
        ContainerMount("volume", "v1", "/var/lib/docker/volumes/v1/_data", "/data", writable=False),
        ContainerMount("tmpfs", "", "", "/t", writable=True),
    )
    assert parse_metadata({**CONFIG, "MountPoints": None}, {}).mounts == ()


def test_a_mount_of_an_old_daemon_has_its_kind_from_its_name() -> None:
    old = {"Source": "/s", "Destination": "/d", "RW": True, "Name": "v1"}
    points = {"/d": old, "/e": {**old, "Name": ""}}
    assert [mount.kind for mount in parse_metadata({**CONFIG, "MountPoints": points}, {}).mounts] == ["volume", "bind"]


def test_a_container_that_was_never_started_has_no_start() -> None:
    state = {"Pid": 0, "StartedAt": "0001-01-01T00:00:00Z"}
    metadata = parse_metadata({**CONFIG, "State": state}, {})
    assert (metadata.started_at, metadata.pid) == (None, None)


def test_a_half_written_file_leaves_the_container_without_a_name(tmp_path: Path) -> None:
    docker = Docker(tmp_path)
    docker.start("db", 41)
    (docker.root / "containers" / ID / "config.v2.json").write_text('{"Name": "/d')
    (container,) = docker.index.refresh()
    assert container.metadata is None
    assert container.name == ID[:12]
    docker.write("db", 41)
    assert [container.name for container in docker.index.refresh()] == ["db"]


def test_a_container_keeps_its_name_when_the_files_of_the_daemon_are_gone(tmp_path: Path) -> None:
    docker = Docker(tmp_path)
    docker.start("db", 41)
    docker.index.refresh()
    (docker.root / "containers" / ID / "config.v2.json").unlink()
    docker.index.invalidate_all()
    assert [container.name for container in docker.index.refresh()] == ["db"]


def test_a_rename_is_seen_once_the_event_says_so(tmp_path: Path) -> None:
    docker = Docker(tmp_path)
    docker.start("old", 41)
    docker.index.refresh()
    docker.write("new", 41)
    docker.index.invalidate(ID)
    assert [container.name for container in docker.index.refresh()] == ["new"]


def test_a_restart_under_the_same_id_is_seen_without_any_event(tmp_path: Path) -> None:
    docker = Docker(tmp_path)
    docker.start("db", 41)
    docker.index.refresh()
    docker.start("db", 57)
    docker.index.refresh()
    (container,) = docker.index.refresh()
    assert container.pid == 57


def test_a_container_that_ended_is_gone_at_once(tmp_path: Path) -> None:
    docker = Docker(tmp_path)
    docker.start("db", 41)
    assert len(docker.index.refresh()) == 1
    (docker.cgroups / "docker" / ID / "cgroup.procs").write_text("")
    assert docker.index.refresh() == ()


def test_a_pid_of_the_daemon_that_is_no_member_any_more_is_not_believed(tmp_path: Path) -> None:
    docker = Docker(tmp_path)
    docker.start("db", 41)
    docker.write("db", 999)
    (container,) = docker.index.refresh()
    assert container.pid == 41


def test_only_docker_labels_that_were_asked_for_become_labels() -> None:
    labels = {"org.label-schema.group": "monitoring", "org_label-schema.group": "twin", "secret": "x", "empty": ""}
    containers = [
        Container("1", "/1", Metadata("db", "i:1", labels), (1,)),
        Container("2", "/2", Metadata("web", "i:1"), (2,)),
        Container("3", "/3", None, (3,)),
    ]
    assert container_labels(containers, ()) == {}
    assert container_labels(containers, ("org.label-schema.group", "org_label-schema.group", "empty")) == {
        ("db", "i:1"): (("container_label_org_label_schema_group", "monitoring"),)
    }


def test_a_docker_label_becomes_a_name_that_prometheus_takes() -> None:
    assert label_name("org.label-schema.group") == "container_label_org_label_schema_group"
    assert label_name("größe/1") == "container_label_gr__e_1"


def test_when_a_container_was_created_is_read() -> None:
    metadata = parse_metadata({**CONFIG, "Created": "2026-11-23T05:09:59Z"}, {})
    assert metadata.created_at == 1795410599.0
