"""A local stack of the test's own: free ports, a folder of its own, gone afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.servers import free_port
from vdbmon.stack.layout import CHECKOUT, Layout
from vdbmon.stack.ownership import own_processes, own_supervisors
from vdbmon.stack.render import ListenAddresses, Machine, render_config
from vdbmon.stack.up import TEMPLATE

VDBMON = Path(sys.executable).with_name("vdbmon")
MACHINE = Machine(name="dr-host-01", cpus=2, memory=8 * 2**30, disk=100 * 2**30)
COMMAND_SECONDS = 100


@dataclass(frozen=True, slots=True)
class OwnStack:
    """A stack that a test may start, break and stop; `engine` is its DOCKER_HOST, `prefix` goes before each command."""

    layout: Layout
    engine: str
    prefix: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[str, ...]:
        """What every command of this stack is given."""
        return ("--config", str(self.layout.config), "--state-dir", str(self.layout.state))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Call one of the stack's own commands: `vdbmon WORDS`, with its configuration and folder."""
        return self._call(*words, *self.options)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Call any other command with the stack's configuration."""
        return self._call(*words, "--config", str(self.layout.config))

    def _call(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.prefix, VDBMON, *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
            env={**os.environ, "DOCKER_HOST": self.engine},
        )

    def up(self) -> subprocess.CompletedProcess[str]:
        """Start the servers, without the demonstration."""
        return self.run("stack", "up", "--no-demo")

    def pids(self) -> dict[str, int]:
        """Process ids by program, supervisor among them."""
        (supervisor,) = own_supervisors(self.layout)
        children = {process.pid for process in supervisor.children()}
        programs = {name: process.pid for name, process in own_processes(self.layout) if process.pid in children}
        return {**programs, "supervisord": supervisor.pid}

    def leftovers(self) -> list[str]:
        """Everything of the stack that still lives."""
        return [name for name, _ in own_processes(self.layout)] + [p.name() for p in own_supervisors(self.layout)]


def write_stack(folder: Path, engine: str) -> OwnStack:
    """A stack's configuration on free ports; starts nothing."""
    layout = Layout(state=folder / "var", config=folder / "vdbmon.toml")
    listen = ListenAddresses(
        agent=f"127.0.0.1:{free_port()}",
        serve=f"127.0.0.1:{free_port()}",
        prometheus=f"http://127.0.0.1:{free_port()}",
        alertmanager=f"http://127.0.0.1:{free_port()}",
        victoria_metrics=f"http://127.0.0.1:{free_port()}",
    )
    template = (CHECKOUT / "deploy" / TEMPLATE).read_text()
    layout.config.write_text(render_config(template, layout, MACHINE, listen))
    return OwnStack(layout, engine)
