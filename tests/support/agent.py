"""The agent as a process, and containers for it to watch."""

from __future__ import annotations

import sys
from pathlib import Path

from docker.models.containers import Container
from prometheus_client.parser import text_string_to_metric_families

from tests.support.dockerd import OwnDockerd, import_busybox
from tests.support.servers import free_port, http_get

VDBMON = str(Path(sys.executable).with_name("vdbmon"))

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Agent:
    """An agent on a free port that watches one Docker daemon; `more` is added to its configuration."""

    def __init__(
        self, daemon: OwnDockerd, folder: Path, more: str = "", *, name: str = "testhost", address: str = "127.0.0.1"
    ) -> None:
        self.port = free_port()
        self.address = address
        self.config = folder / "vdbmon.toml"
        self.log = folder / "agent.log"
        self.pid = 0  # once a test has started it
        self.config.write_text(
            f'[host]\nname = "{name}"\n'
            f'[agent]\nlisten = "{address}:{self.port}"\nmin_age = "10ms"\n'
            f'[inputs.docker]\naddress = "{daemon.address}"\ntimeout = "1s"\n'
            f"{more}"
        )

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self.address}:{self.port}"

    def scrape(self, prefix: str = "") -> Series | None:
        """All series, or those whose names begin so, by name and labels; None while nobody answers."""
        text = http_get(f"{self.url}/metrics")
        if text is None:
            return None
        wanted = "\n".join(line for line in text.splitlines() if line.startswith(prefix))
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(wanted)
            for sample in family.samples
        }

    def value(self, series: str, **labels: str) -> float | None:
        """The value of the one series that has these labels."""
        wanted = labels.items()
        found = [
            value
            for (key, have), value in (self.scrape(series) or {}).items()
            if key == series and wanted <= dict(have).items()
        ]
        assert len(found) <= 1, found
        return found[0] if found else None


def run_container(daemon: OwnDockerd, name: str, *command: str, **options: object) -> Container:
    """Start a container of a tiny image."""
    client = daemon.client()
    return client.containers.run(import_busybox(client), list(command), name=name, detach=True, **options)  # type: ignore[call-overload, no-any-return]
