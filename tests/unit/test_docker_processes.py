import contextlib
import os
import socket
from pathlib import Path

from collector.docker_processes import DaemonProcesses, Process, choose, listener_of


def process(pid: int, command: str, parent: int = 1, start: int = 0) -> Process:
    return Process(pid, command, parent, start or pid)


def test_the_daemon_that_listens_is_taken_and_its_own_containerd() -> None:
    processes = [
        process(10, "dockerd"),
        process(11, "containerd", parent=10),
        process(20, "dockerd"),
        process(21, "containerd", parent=20),
        process(30, "sh"),
    ]
    assert choose(processes, 20) == {"dockerd": processes[2], "containerd": processes[3]}
    assert choose(processes, None) == {"dockerd": processes[0], "containerd": processes[1]}


def test_with_socket_activation_the_listener_is_systemd_and_containerd_its_own_service() -> None:
    processes = [process(1, "systemd", 0), process(9, "containerd", parent=50), process(70, "containerd")]
    processes.append(process(80, "dockerd"))
    assert choose(processes, 1) == {"dockerd": processes[3], "containerd": processes[2]}


def test_without_a_daemon_there_is_nothing() -> None:
    assert choose([process(1, "systemd"), process(5, "containerd")], None) == {}


def test_the_kernel_knows_who_listens_though_nobody_answers(tmp_path: Path) -> None:
    path = tmp_path / "d.sock"
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
        listener.listen(1)
        assert listener_of(f"unix://{path}") == os.getpid()
    assert listener_of(f"unix://{path}") is None
    assert listener_of("tcp://127.0.0.1:2375") is None


def write(procfs: Path, pid: int, command: str, parent: int, start: int) -> None:
    folder = procfs / str(pid)
    (folder / "fd").mkdir(parents=True, exist_ok=True)
    fields = ["S", str(parent), *["0"] * 17, str(start), "0", "10", "0"]
    (folder / "stat").write_text(f"{pid} ({command}) {' '.join(fields)}\n")
    (folder / "limits").write_text("Max open files            1048576              1048576              files\n")


def test_a_daemon_that_was_restarted_is_found_again(tmp_path: Path) -> None:
    write(tmp_path, 10, "dockerd", 1, 100)
    write(tmp_path, 11, "containerd", 10, 110)
    (tmp_path / "10/fd/0").touch()
    daemons = DaemonProcesses(tmp_path, "tcp://127.0.0.1:1")
    assert {name: found.limit for name, found in daemons.descriptors().items()} == {
        "dockerd": 1048576,
        "containerd": 1048576,
    }
    write(tmp_path, 10, "sh", 1, 900)  # the pid went to another program
    write(tmp_path, 20, "dockerd", 1, 950)
    (tmp_path / "11/stat").write_text("torn")
    assert set(daemons.descriptors()) == {"dockerd"}
    write(tmp_path, 21, "containerd", 20, 960)
    assert set(daemons.descriptors()) == {"dockerd", "containerd"}


def test_a_tree_without_processes_says_nothing(tmp_path: Path) -> None:
    assert DaemonProcesses(tmp_path, "unix:///nonexistent").descriptors() == {}
