"""`vdbmon serve` as a process on a free port."""

from __future__ import annotations

import contextlib
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.support.agent import VDBMON
from tests.support.servers import free_port, http_get, process
from tests.support.wait import wait_until

READY_DEADLINE = 60.0
TAKEOVER_DEADLINE = 60.0
"""Four times the lease: the machine has other things to do."""

INVENTORY = 'inventory = { cpus = 8, memory = "32GiB", disk = "1TiB", read_bps = "200MB", write_bps = "200MB" }'
NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True, slots=True)
class Serve:
    """A running one."""

    name: str
    url: str
    config: Path
    log: Path
    process: subprocess.Popen[bytes]

    def value(self, name: str, **labels: str) -> float | None:
        """The value of a series; None while there is none."""
        text = http_get(f"{self.url}/metrics", timeout=2.0) or ""
        lines = (line for line in text.splitlines() if line.startswith(name))
        for family in text_string_to_metric_families("\n".join(lines)):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return float(sample.value)
        return None

    @property
    def holds(self) -> bool:
        """Whether it says that it holds the lease."""
        return self.value("vdbmon_serve_lease_held") == 1

    def get(self, path: str) -> tuple[int, Any]:
        """Status and document of a page."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=10) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def await_lease(self) -> None:
        """Return when it holds the lease and has beaten."""
        wait_until(
            lambda: self.holds and self.value("vdbmon_serve_last_beat_timestamp_seconds"),
            deadline=TAKEOVER_DEADLINE,
            what=f"{self.name} holds the lease and beats",
            every=0.2,
        )


def write_config(
    folder: Path,
    name: str,
    ledger_url: str,
    hosts: Mapping[str, str],
    *,
    prometheus_url: str = NOWHERE,
    port: int | None = None,
    more: str = "",
) -> Path:
    """A configuration; `hosts` has what else stands in each [[hosts]], by name."""
    config = folder / f"{name}.toml"
    fleet = "".join(f'[[hosts]]\nname = "{host}"\n{INVENTORY}\n{text}\n' for host, text in hosts.items())
    config.write_text(
        f'[host]\nname = "{name}"\n[serve]\nlisten = "127.0.0.1:{port or free_port()}"\ninterval = "1s"\n'
        f'[prometheus]\nurl = "{prometheus_url}"\n[volumes]\ndir = "{folder}/volumes"\n'
        f'[ledger]\nurl = "{ledger_url}"\n{more}\n{fleet}'
    )
    return config


@contextlib.contextmanager
def serving(config: Path) -> Iterator[Serve]:
    """A serve with this configuration, which answers."""
    listen = next(line for line in config.read_text().splitlines() if line.startswith("listen"))
    url = f"http://{listen.partition('= ')[2].strip(chr(34))}"
    log = config.with_suffix(".log")
    with process([VDBMON, "serve", "--config", str(config)], log) as started:
        wait_until(
            lambda: http_get(f"{url}/-/healthy") is not None or started.poll() is not None,
            deadline=READY_DEADLINE,
            what="serve answers",
        )
        assert started.poll() is None, log.read_text()
        yield Serve(config.stem, url, config, log, started)
