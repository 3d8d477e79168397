"""The forecast of `vdbmon capacity` on four weeks that a real Prometheus has kept, by its real queries."""

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.agent import VDBMON
from tests.support.past_fleet import DAY, DAYS, FLEET, GIB, write_history
from tests.support.schemas import schema
from tests.support.servers import prometheus

MEMORY = 64
"""GiB of each host's inventory; so much of its disk as well."""
READS = 40_000_000
SLOTS = 8


@dataclass(frozen=True)
class Past:
    """A configuration whose Prometheus remembers, and the end of what it remembers."""

    config: Path
    now: float

    def said(self, *words: str) -> str:
        command = [VDBMON, "capacity", *words, "--config", str(self.config)]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    folder, now = tmp_path_factory.mktemp("past"), time.time()
    write_history(folder, now=now)
    with prometheus(folder, "scrape_configs: []\n", more=["--storage.tsdb.retention.time=60d"]) as server:
        config = folder / "vdbmon.toml"
        sizes = f'memory = "{MEMORY}GiB", disk = "{MEMORY}GiB", read_bps = {READS}, write_bps = "1GB"'
        inventory = f"{{cpus = 16, {sizes}, slots = {SLOTS}}}"
        hosts = "".join(
            f'[[hosts]]\nname = "{machine.name}"\ndocker = "tcp://127.0.0.1:9"\ninventory = {inventory}\n'
            for machine in FLEET
        )
        config.write_text(
            f'[host]\nname = "{FLEET[0].name}"\n[prometheus]\nurl = "{server.url}"\n'
            f'[ledger]\nurl = "sqlite:///{folder}/ledger.db"\n{hosts}'
        )
        yield Past(config, now)


@pytest.fixture(scope="module")
def forecast(past: Past) -> dict[str, Any]:
    document = json.loads(past.said("--json"))
    schema("capacity").validate(document)
    assert document["error"] is None
    found: dict[str, Any] = document["forecast"]
    return found


def days_left(forecast: dict[str, Any], key: str, now: float) -> float:
    full_at = forecast[key]["full_at"]
    assert full_at is not None, forecast[key]
    return float((full_at - now) / DAY)


@pytest.mark.parametrize("key", ["memory", "disk"])
def test_gauges_with_a_working_week_a_gap_a_step_and_a_new_host(past: Past, forecast: dict[str, Any], key: str) -> None:
    """The step counts as growth: a part of it at least, and not more than all."""
    level = sum(machine.level(DAYS) for machine in FLEET)
    without = sum(machine.per_day for machine in FLEET)
    steady = (MEMORY * len(FLEET) - level) / without
    stepped = (MEMORY * len(FLEET) - level) / (without + sum(machine.step[1] for machine in FLEET) / DAYS)
    assert forecast[key]["days"] == pytest.approx(DAYS - 1, abs=1.0)
    assert stepped * 0.8 < days_left(forecast, key, past.now) < steady * 1.2
    assert without * 0.8 * GIB < forecast[key]["per_day"] < (without + 1.0) * GIB


@pytest.mark.parametrize(
    ("key", "one", "offered"), [("slots", 1, SLOTS), ("cpu", 500, 16_000), ("read_bps", 2e6, READS)]
)
def test_what_comes_container_by_container(
    past: Past, forecast: dict[str, Any], key: str, one: float, offered: float
) -> None:
    running = sum(machine.containers(DAYS) for machine in FLEET)
    first = sum(machine.containers(machine.since + 1.0) for machine in FLEET)
    growth = (running - first) / DAYS
    assert forecast[key]["per_day"] == pytest.approx(growth * one, rel=0.25)
    expected = (offered * len(FLEET) / one - running) / growth
    assert days_left(forecast, key, past.now) == pytest.approx(expected, rel=0.3)


def test_the_table_has_the_date(past: Past, forecast: dict[str, Any]) -> None:
    line = [line for line in past.said().splitlines() if line.strip().startswith("memory")][-1]
    day = datetime.fromtimestamp(forecast["memory"]["full_at"]).astimezone()
    assert f"{day:%Y-%m-%d}" in line


def test_what_nobody_measured_is_not_known(forecast: dict[str, Any]) -> None:
    assert forecast["write_bps"] == {"days": 0.0, "per_day": None, "full_at": None}
