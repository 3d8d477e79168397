"""The agent and what containers keep: sized volumes, the metrics that jobs write, commands. Needs root."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector import labels
from orchestrator.host.volumes import LoopVolumes, SizedVolume
from tests.support.agent import VDBMON, Agent, run_container
from tests.support.dockerd import OwnDockerd
from tests.support.servers import http_get, process
from tests.support.wait import wait_until

PATIENCE = 30.0
MIB = 1 << 20
STARTED = 'vdbmon_backup_state{state="started"} 1\nvdbmon_backup_progress_bytes{kind="raw"} 4711\n'
DONE = 'vdbmon_backup_state{state="started"} 0\nvdbmon_backup_state{state="done"} 1\n'


@pytest.fixture
def volumes(tmp_path: Path) -> Iterator[LoopVolumes]:
    made = LoopVolumes(tmp_path / "volumes")
    yield made
    for name in made.list():
        made.remove(name)


@pytest.fixture
def agent(own_dockerd: OwnDockerd, tmp_path: Path) -> Iterator[Agent]:
    script = tmp_path / "widgets"
    script.write_text('#!/bin/sh\necho "widgets,kind=$1 made=5i,name=\\"x\\""\n')
    script.chmod(0o755)
    more = (
        f'[volumes]\ndir = "{tmp_path / "volumes"}"\n'
        f'[inputs.volume]\ndu = ["job:/backup", "job:/"]\n'
        f'[[inputs.exec]]\ncommands = ["{script} blue"]\n'
    )
    watcher = Agent(own_dockerd, tmp_path, more)
    with process([VDBMON, "agent", "run", "--config", str(watcher.config)], watcher.log) as started:
        wait_until(watcher.scrape, deadline=PATIENCE, what="agent answers")
        watcher.pid = started.pid
        yield watcher


def job_labels(name: str) -> dict[str, str]:
    return {labels.MANAGED: "true", labels.NAME: name, labels.SOURCE: "demo", labels.JOB: "backup"}


def make_volume(volumes: LoopVolumes, name: str, owner: str) -> SizedVolume:
    return volumes.create(name, 64 * MIB, {**job_labels(owner), labels.IMAGE: "vdbmon-test/busybox:1"})


def run_job(daemon: OwnDockerd, name: str, volume: SizedVolume, script: str, **options: object) -> None:
    """A container with the volume at /backup that runs a script and then stays."""
    binds = {str(volume.mountpoint): {"bind": "/backup", "mode": "rw"}, **options}
    command = f"busybox mkdir -p /backup/metrics; {script}\nbusybox touch /backup/ready; busybox sleep 600"
    run_container(daemon, name, "sh", "-c", command, network_mode="none", labels=job_labels(name), volumes=binds)
    wait_until((volume.mountpoint / "ready").exists, deadline=PATIENCE, what="the script has ended")


def say(text: str, name: str = "backup.prom") -> str:
    return (
        f"busybox cat >/backup/metrics/.new <<'END'\n{text}END\nbusybox mv /backup/metrics/.new /backup/metrics/{name}"
    )


def test_a_sized_volume_is_measured_as_the_kernel_sees_it(
    volumes: LoopVolumes, own_dockerd: OwnDockerd, agent: Agent, tmp_path: Path
) -> None:
    volume = make_volume(volumes, "b1", "job")
    folder = tmp_path / "ordinary"
    folder.mkdir()
    others = {str(folder): {"bind": "/ordinary", "mode": "rw"}, "named": {"bind": "/named", "mode": "rw"}}
    run_job(
        own_dockerd, "job", volume, "busybox dd if=/dev/zero of=/backup/data bs=1M count=20; busybox sync", **others
    )
    wait_until(
        lambda: (agent.value("vdbmon_volume_used_bytes", name="job", destination="/backup") or 0) > 20 * MIB,
        deadline=PATIENCE,
        what="the volume's use",
    )
    kernel = os.statvfs(volume.mountpoint)
    identity = {"name": "job", "image": "vdbmon-test/busybox:1", "destination": "/backup"}
    assert agent.value("vdbmon_volume_size_bytes", **identity) == kernel.f_blocks * kernel.f_frsize
    assert agent.value("vdbmon_volume_avail_bytes", **identity) == kernel.f_bavail * kernel.f_frsize
    assert agent.value("vdbmon_volume_files", **identity) == kernel.f_files
    assert agent.value("vdbmon_volume_mount_healthy", **identity) == 1
    assert agent.value("vdbmon_volume_shared", **identity) == 0
    assert agent.value("vdbmon_volume_info", **identity, device=str(volume.device.path), fstype="ext4") == 1
    assert agent.value("vdbmon_volume_shared", name="job", destination="/named") == 1
    assert agent.value("vdbmon_volume_info", name="job", destination="/named", volume="named") == 1
    assert agent.value("vdbmon_volume_info", name="job", destination="/ordinary") is None
    measured = wait_until(
        lambda: agent.value("vdbmon_volume_du_bytes", name="job", destination="/backup"),
        deadline=PATIENCE,
        what="du of the volume",
    )
    assert 20 * MIB <= measured < 21 * MIB
    wait_until(
        lambda: agent.value("container_fs_usage_bytes", name="job"), deadline=PATIENCE, what="du of the writable layer"
    )


def test_a_job_is_heard_while_it_runs_and_its_result_when_it_is_gone(
    volumes: LoopVolumes, own_dockerd: OwnDockerd, agent: Agent
) -> None:
    first = make_volume(volumes, "b1", "job")
    run_job(own_dockerd, "job", first, say(STARTED))
    identity = {"name": "job", "image": "vdbmon-test/busybox:1", "source": "demo", "backup_job": "backup"}
    wait_until(
        lambda: agent.value("vdbmon_backup_progress_bytes", kind="raw", **identity) == 4711,
        deadline=PATIENCE,
        what="progress",
    )
    assert agent.value("vdbmon_backup_state", state="started", **identity) == 1
    (first.mountpoint / "metrics" / "success.prom").write_text("vdbmon_backup_last_success_timestamp_seconds 1e9\n")
    container = own_dockerd.client().containers.get("job")
    container.remove(force=True)
    wait_until(
        lambda: agent.value("vdbmon_backup_state", state="failed", **identity) == 1,
        deadline=PATIENCE,
        what="a job that was killed has failed",
    )
    assert agent.value("vdbmon_backup_progress_bytes", **identity) is None
    assert agent.value("vdbmon_volume_size_bytes", name="job") is None
    assert agent.value("vdbmon_backup_last_success_timestamp_seconds", **identity) == 1e9

    run_job(own_dockerd, "job", make_volume(volumes, "b2", "job"), say(STARTED))
    wait_until(
        lambda: agent.value("vdbmon_backup_state", state="started", **identity) == 1,
        deadline=PATIENCE,
        what="the next attempt",
    )
    assert agent.value("vdbmon_backup_last_success_timestamp_seconds", **identity) == 1e9
    volumes.remove("b1")
    wait_until(
        lambda: agent.value("vdbmon_backup_last_success_timestamp_seconds", **identity) is None,
        deadline=PATIENCE,
        what="a backup that is removed has no age",
    )


def test_a_hostile_job_reaches_nothing_and_nobody(
    volumes: LoopVolumes, own_dockerd: OwnDockerd, agent: Agent, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.prom"
    secret.write_text("vdbmon_backup_lag_seconds 666\n")
    script = "\n".join(
        (
            "cd /backup/metrics",
            "busybox mkfifo a.prom",
            f"busybox ln -s {secret} b.prom",
            "busybox mknod c.prom c 1 5",
            say('vdbmon_backup_lag_seconds{name="victim"} 1\nnode_load1 99\nvdbmon_backup_lag_seconds 7\n', "d.prom"),
        )
    )
    run_job(own_dockerd, "hostile", make_volume(volumes, "b1", "hostile"), script)
    run_job(own_dockerd, "victim", make_volume(volumes, "b2", "victim"), say("vdbmon_backup_lag_seconds 3\n"))
    wait_until(
        lambda: agent.value("vdbmon_backup_lag_seconds", name="victim") == 3, deadline=PATIENCE, what="the other job"
    )
    for reason in ("fifo", "link", "device"):
        assert agent.value("vdbmon_job_file_refused", name="hostile", reason=reason) == 1
    for reason in ("label", "undeclared"):
        assert agent.value("vdbmon_job_lines_refused", name="hostile", reason=reason) == 1
    assert agent.value("vdbmon_backup_lag_seconds", name="hostile") == 7
    assert agent.value("node_load1") != 99
    assert "666" not in [line.split()[-1] for line in (agent_text(agent)).splitlines() if "backup_lag" in line]
    assert agent.value("vdbmon_input_up", input="job") == 1


def agent_text(agent: Agent) -> str:
    return http_get(f"http://127.0.0.1:{agent.port}/metrics") or ""


def test_a_volume_that_hangs_costs_only_its_own_series(
    volumes: LoopVolumes, own_dockerd: OwnDockerd, agent: Agent
) -> None:
    for name in ("one", "two"):
        run_job(own_dockerd, name, make_volume(volumes, name, name), say(DONE))
    for name in ("one", "two"):
        wait_until(
            lambda name=name: agent.value("vdbmon_volume_mount_healthy", name=name) == 1,  # type: ignore[misc]
            deadline=PATIENCE,
            what="both volumes",
        )
    stopped = stop_children(agent)
    wait_until(
        lambda: agent.value("vdbmon_volume_mount_healthy", name="one") == 0, deadline=PATIENCE, what="one that hangs"
    )
    assert agent.value("vdbmon_volume_size_bytes", name="one") is None
    wait_until(
        lambda: (
            agent.value("vdbmon_volume_mount_healthy", name="two") == 1
            and agent.value("vdbmon_backup_state", name="two", state="done") == 1
        ),
        deadline=PATIENCE,
        what="the other goes on",
    )
    assert agent.value("vdbmon_job_file_refused", name="one", reason="hangs") == 1
    assert agent.value("container_last_seen", name="one") is not None
    assert agent.value("vdbmon_input_up", input="volume") == 1
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    wait_until(
        lambda: agent.value("vdbmon_volume_mount_healthy", name="one") == 1, deadline=PATIENCE, what="it is back"
    )


def stop_children(agent: Agent) -> list[int]:
    """Stop the children that ask filesystems; the agent's threads start them, each lists its own."""
    found = [
        int(pid)
        for task in Path(f"/proc/{agent.pid}/task").iterdir()
        for pid in (task / "children").read_text().split()
        if b"filesystem_child" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    for pid in found:
        os.kill(pid, signal.SIGSTOP)
    return found


def test_a_command_feeds_the_agent(agent: Agent) -> None:
    wait_until(lambda: agent.value("widgets_made", kind="blue") == 5, deadline=PATIENCE, what="the command's value")
    assert agent.value("vdbmon_exec_up", command="widgets") == 1
    assert agent.value("vdbmon_exec_values_refused", command="widgets", reason="not_a_number") == 1
