"""A Docker daemon that is killed and comes back, and labels that no format likes, seen by a real agent."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from collector import labels
from collector.catalogue import containers as declared
from tests.support.dockerd import OwnDockerd, import_busybox
from tests.support.servers import free_port, http_get, process
from tests.support.wait import wait_until

VDBMON = str(Path(sys.executable).with_name("vdbmon"))
PATIENCE = 30.0
AWKWARD = 'a "quoted", \\back\\slash=\nnew line, käse 🧀 {x="y"} #'


class Watcher:
    """An agent on a free port that watches one Docker daemon."""

    def __init__(self, daemon: OwnDockerd, folder: Path) -> None:
        self.port = free_port()
        self.log = folder / "agent.log"
        self.config = folder / "vdbmon.toml"
        self.config.write_text(
            f'[host]\nname = "testhost"\n[agent]\nlisten = "127.0.0.1:{self.port}"\nmin_age = "10ms"\n'
            f'[inputs.docker]\naddress = "{daemon.address}"\nroot = "{daemon.root}"\ntimeout = "1s"\n'
        )

    def series(self, metric: str, label: str) -> dict[str, tuple[dict[str, str], float]]:
        """All series of a metric, by one of their labels."""
        text = http_get(f"http://127.0.0.1:{self.port}/metrics") or ""
        return {
            sample.labels.get(label, ""): (dict(sample.labels), sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == metric
        }

    def answers(self, endpoint: str) -> bool:
        """Whether the agent says that the daemon answers there."""
        return self.series("vdbmon_docker_probe_success", "endpoint").get(endpoint, ({}, 0.0))[1] == 1


@pytest.fixture
def watcher(own_dockerd: OwnDockerd, tmp_path: Path) -> Iterator[Watcher]:
    made = Watcher(own_dockerd, tmp_path)
    with process([VDBMON, "agent", "run", "--config", str(made.config)], made.log):
        wait_until(lambda: made.series("vdbmon_build_info", "host"), deadline=PATIENCE, what="agent answers")
        yield made


def start_sleeper(daemon: OwnDockerd, name: str, **options: object) -> None:
    with contextlib.closing(daemon.client()) as client:
        image = import_busybox(client)
        client.containers.run(image, ["sleep", "600"], name=name, detach=True, network_mode="none", **options)  # type: ignore[call-overload]


def kill(daemon: OwnDockerd) -> list[str]:
    """SIGKILL for the daemon and its containerd; the command that starts the same daemon on the same folders again."""
    command = Path(f"/proc/{daemon.process.pid}/cmdline").read_text().split("\0")[:-1]
    os.killpg(daemon.process.pid, signal.SIGKILL)
    daemon.process.wait(PATIENCE)
    (daemon.root.parent / "dockerd.pid").unlink(missing_ok=True)
    return ["unshare", "--net", *command, "--live-restore"]


def test_a_daemon_that_was_killed_is_followed_again(own_dockerd: OwnDockerd, watcher: Watcher, tmp_path: Path) -> None:
    start_sleeper(own_dockerd, "survivor")
    wait_until(
        lambda: "survivor" in watcher.series("container_last_seen", "name"), deadline=PATIENCE, what="the container"
    )
    wait_until(lambda: watcher.answers("ping"), deadline=PATIENCE, what="the daemon answers")
    command = kill(own_dockerd)
    wait_until(lambda: not watcher.answers("ping"), deadline=PATIENCE, what="the fall")
    assert watcher.series("vdbmon_input_up", "input")["cgroup"][1] == 1
    assert "survivor" in watcher.series("container_last_seen", "name"), "the container has outlived its daemon"
    with process(command, tmp_path / "dockerd-again.log") as again:
        own_dockerd.process = again
        wait_until(lambda: watcher.answers("ping"), deadline=PATIENCE, what="the daemon answers again")
        start_sleeper(own_dockerd, "newborn")
        wait_until(
            lambda: "newborn" in watcher.series("container_last_seen", "name"), deadline=PATIENCE, what="the new one"
        )
        with contextlib.closing(own_dockerd.client()) as client:
            client.containers.get("newborn").rename("renamed")
        wait_until(
            lambda: "renamed" in watcher.series("container_last_seen", "name"),
            deadline=PATIENCE,
            what="events are followed again: a rename has no other witness",
        )
        assert "newborn" not in watcher.series("container_last_seen", "name")
        with contextlib.closing(own_dockerd.client()) as client:
            for container in client.containers.list(all=True):
                container.remove(force=True)


def test_labels_with_all_that_formats_dislike_come_out_as_they_are(own_dockerd: OwnDockerd, watcher: Watcher) -> None:
    start_sleeper(own_dockerd, "awkward", labels={labels.SOURCE: AWKWARD}, environment={"WORDS": AWKWARD})
    found = wait_until(
        lambda: watcher.series(declared.INFO.name, "name").get("awkward"), deadline=PATIENCE, what="the container"
    )
    assert found[0]["source"] == AWKWARD
    printed = subprocess.run(
        [VDBMON, "agent", "test", "--config", str(watcher.config)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert printed.returncode == 0, printed.stderr
    lines = [line for line in printed.stdout.splitlines() if "awkward" in line]
    assert lines
    assert all(line.rpartition(" ")[2].isdigit() for line in lines), "every line ends with its time: none is broken"
