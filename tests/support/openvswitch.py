"""An Open vSwitch of a test's own: its files in a folder, its interfaces in a network namespace, in user space."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.servers import STOP_DEADLINE, process
from tests.support.wait import wait_until

READY_DEADLINE = 20.0
_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"


def run(*command: str) -> str:
    """A command's output; its errors are the test's."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=STOP_DEADLINE, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


@dataclass(slots=True)
class OwnOpenVswitch:
    """ovsdb-server and ovs-vswitchd, each of which may be stopped, killed and started again."""

    folder: Path
    namespace: str
    _daemons: dict[str, contextlib.ExitStack] = field(default_factory=dict)
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def run_dir(self) -> Path:
        """Where its sockets are; short, for a socket's path has at most 107 bytes."""
        return self.folder / "run"

    @property
    def db_socket(self) -> Path:
        """Of its database."""
        return self.run_dir / "db.sock"

    def pid(self, daemon: str) -> int:
        """Process id of a daemon."""
        return self._processes[daemon].pid

    def start_database(self) -> None:
        """Start ovsdb-server."""
        command = ["ovsdb-server", f"{self.folder}/conf.db", f"--remote=punix:{self.db_socket}", "--pidfile"]
        self._start("ovsdb-server", command)
        wait_until(self.db_socket.exists, deadline=READY_DEADLINE, what="ovsdb-server listens")

    def start_switch(self) -> None:
        """Start ovs-vswitchd."""
        self._start("ovs-vswitchd", ["ovs-vswitchd", f"unix:{self.db_socket}", "--pidfile"])

    def stop(self, daemon: str) -> None:
        """End a daemon."""
        self._daemons.pop(daemon).close()
        self._processes.pop(daemon)

    def close(self) -> None:
        """End both."""
        for daemon in list(self._daemons):
            self.stop(daemon)

    def vsctl(self, *words: str) -> str:
        """ovs-vsctl, which waits until ovs-vswitchd has done it."""
        return run("ovs-vsctl", f"--db=unix:{self.db_socket}", "--timeout=20", *words)

    def veth(self, inside: str, outside: str) -> None:
        """A pair of interfaces that are up; `outside` is for the bridge, `inside` would be a container's."""
        run("ip", "-n", self.namespace, "link", "add", outside, "type", "veth", "peer", "name", inside)
        for name in (inside, outside):
            run("ip", "-n", self.namespace, "link", "set", name, "up")

    def _start(self, daemon: str, command: list[str]) -> None:
        paths = {"OVS_RUNDIR": self.run_dir, "OVS_LOGDIR": self.folder, "OVS_DBDIR": self.folder}
        environment = {name: str(path) for name, path in paths.items()}
        stack = contextlib.ExitStack()
        wrapped = ["nsenter", f"--net=/run/netns/{self.namespace}", *command]
        self._processes[daemon] = stack.enter_context(process(wrapped, self.folder / f"{daemon}.log", environment))
        self._daemons[daemon] = stack


@contextlib.contextmanager
def own_openvswitch(folder: Path) -> Iterator[OwnOpenVswitch]:
    """An Open vSwitch with one empty bridge `br0`; gone afterwards with its namespace."""
    switch = OwnOpenVswitch(folder, f"vdbmon-test-{os.getpid()}")
    switch.run_dir.mkdir(parents=True)
    run("ovsdb-tool", "create", f"{folder}/conf.db", _SCHEMA)
    run("ip", "netns", "add", switch.namespace)
    try:
        switch.start_database()
        switch.vsctl("--no-wait", "init")
        switch.start_switch()
        switch.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev", "fail_mode=standalone")
        yield switch
    finally:
        switch.close()
        run("ip", "netns", "del", switch.namespace)
