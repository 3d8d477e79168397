"""A fleet as its operator has it: a TOML file and the command line, an agent beside each engine, a Prometheus."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alerts.thresholds import GATE_FOR
from tests.support.agent import VDBMON, Agent
from tests.support.fleet import RULES
from tests.support.servers import Server, process, prometheus
from tests.support.wait import wait_until

SIZE = ("--cpus=1", "--memory=512MiB", "--disk=256MiB", "--read-bps=200MB", "--write-bps=200MB")
INVENTORY = {"slots": 20, "cpus": 64, "memory": "64GiB", "disk": "1TiB", "read_bps": "4GB", "write_bps": "4GB"}
"""More than the machine has: what else runs on it must not decide these tests."""

WARM = GATE_FOR + 60.0
RUN_SECONDS = 120.0
ENDS_WITHIN = 90.0


@dataclass(frozen=True, slots=True)
class Site:
    """The command line on one configuration."""

    config: Path

    def run(self, *words: str, code: int = 0) -> str:
        """One command with its exit code; what it printed, errors last."""
        done = subprocess.run(
            [VDBMON, *words, "--config", str(self.config)],
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_SECONDS,
            env={**os.environ, "COLUMNS": "240"},
        )
        said = done.stdout + done.stderr
        assert done.returncode == code, said
        assert "Traceback" not in said
        return said

    def place(self, name: str, source: str, *words: str, code: int = 0) -> str:
        """`vdbmon place` of a small container; what it printed."""
        return self.run("place", name, "--source", source, *SIZE, *words, code=code)

    def placed(self, name: str) -> dict[str, Any]:
        """The row of `vdbmon ps`."""
        (row,) = [row for row in json.loads(self.run("ps", "--json")) if row["record"]["name"] == name]
        return dict(row)

    def await_end(self, name: str) -> str:
        """How a job has ended."""

        def ended() -> str | None:
            state = str(self.placed(name)["record"]["state"])
            return state if state in {"done", "failed"} else None

        return wait_until(ended, deadline=ENDS_WITHIN, what=f"{name} has ended", every=1.0)

    def catalogue(self) -> dict[str, dict[str, Any]]:
        """What the catalogue has, by the names of the containers; of one name the newest."""
        found = json.loads(self.run("backup", "list", "--all", "--json"))
        return {entry["id"].rpartition("-")[0]: entry for entry in found}

    def await_open(self, source: str, *words: str) -> None:
        """Return when a backup of that source would be placed."""
        command = [
            VDBMON,
            "place",
            "probe",
            "--source",
            source,
            *SIZE,
            *words,
            "--dry-run",
            "--config",
            str(self.config),
        ]

        def accepted() -> bool:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RUN_SECONDS)
            said[:] = [done.stdout + done.stderr]
            return done.returncode == 0

        said: list[str] = []
        try:
            wait_until(accepted, deadline=WARM, what="the fleet is open", every=2.0)
        except AssertionError as error:
            raise AssertionError("".join(said)) from error


@contextlib.contextmanager
def running_agent(agent: Agent, *before: str) -> Iterator[Agent]:
    """The agent as a process, which answers; `before` goes before the command."""
    with process([*before, VDBMON, "agent", "run", "--config", str(agent.config)], agent.log):
        wait_until(agent.scrape, deadline=60.0, what="the agent answers")
        yield agent


@contextlib.contextmanager
def watched(folder: Path, agents: Mapping[str, Agent]) -> Iterator[Server]:
    """A Prometheus that scrapes the agents, by their hosts' names, and evaluates a few rules with gates."""
    (folder / "rules.yml").write_text(RULES)
    targets = "".join(
        f'      - {{targets: ["{agent.address}:{agent.port}"], labels: {{host: {host}}}}}\n'
        for host, agent in agents.items()
    )
    config = (
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yml]\n"
        f"scrape_configs:\n  - job_name: vdbmon\n    honor_labels: true\n    static_configs:\n{targets}"
    )
    with prometheus(folder, config) as server:
        yield server


def head(name: str, folder: Path, prometheus_url: str) -> str:
    """What the configuration of the machine that places begins with."""
    return (
        f'[host]\nname = "{name}"\n[prometheus]\nurl = "{prometheus_url}"\n'
        f'[ledger]\nurl = "sqlite:///{folder}/ledger.db"\n[volumes]\ndir = "{folder}/volumes"\n'
    )


def section(kind: str, **values: object) -> str:
    """One `[[kind]]`; values that are mappings become inline tables, `None` is left out."""
    lines = (f"{key} = {_toml(value)}" for key, value in values.items() if value is not None)
    return "\n".join([f"[[{kind}]]", *lines, ""])


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return _list(value)
    return json.dumps(value if isinstance(value, int | float) else str(value))


def _list(values: Iterable[object]) -> str:
    return "[" + ", ".join(map(_toml, values)) + "]"
