"""`make bench-place`: how fast decisions and plans are made, and how many hosts they take.

Decisions and plans are timed by the wall clock in one process. The garbage collector is told to leave the fleet alone
(`gc.freeze`), as the command does with what it imported; it runs on what a decision makes.
"""

from __future__ import annotations

import contextlib
import gc
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles

from rich.console import Console
from rich.table import Table

from alerts.thresholds import TELEMETRY_STALE_AFTER
from orchestrator.decision.decide import decide
from orchestrator.decision.planning import plan_batch
from orchestrator.decision.request import Request
from orchestrator.decision.resources import ResourceClass
from orchestrator.decision.scoring import Strategy
from orchestrator.decision.snapshot import Cordon, GateAlert, HostState, Snapshot, Telemetry, Unknown
from tests.bench import packing
from tests.support.placing import LARGE, NOW, OPEN_GATE, host, inventory, job, request, snapshot, some_amounts

RESULTS = Path("build/bench-place.json")
HOSTS, JOBS = 1000, 5
DECISIONS = 300
BATCH, BATCH_HOSTS = 500, 100
SHELL_HOSTS, SHELL_RUNS = 100, 7
TARGETS = {
    "decide, mixed, p99 ms": 20.0,
    "decide, all refused for ten reasons, p99 ms": 50.0,
    "plan of 500 on 100 hosts, spread, s": 5.0,
    "plan of 500 on 100 hosts, pack, s": 5.0,
    "place --dry-run, 100 hosts, one hung, s": 2.0,
    "hosts used to optimum, mean": 1.10,
}


def mixed_fleet(rng: random.Random) -> Snapshot:
    """1,000 hosts with 5,000 jobs; a few closed by an alert, a cordon, old metrics or an engine that is gone."""
    hosts = []
    for number in range(HOSTS):
        jobs = tuple(job(number * JOBS + one, some_amounts(rng)) for one in range(JOBS))
        hosts.append(_spoilt(host(f"db{number:04}", jobs=jobs), number))
    alerts = tuple(_alert(number) for number in range(0, HOSTS, 50))
    cordons = tuple(Cordon(f"db{number:04}", "ann", "disks", None, NOW) for number in range(7, HOSTS, 100))
    return snapshot(*hosts, gate=replace(OPEN_GATE, alerts=alerts), cordons=cordons)


def closed_fleet(fleet: Snapshot) -> Snapshot:
    """The same, frozen and full: ten reasons against every host, some have one or two more."""
    full = {key: row.sellable for key, row in LARGE.items()}
    hosts = [
        replace(item, allocated=full, engine=Unknown("no answer"), makes_volumes=False, telemetry=_old(item))
        for item in fleet.hosts
    ]
    return replace(fleet, hosts=tuple(hosts), cordons=(*fleet.cordons, Cordon(None, "ann", "holidays", None, NOW)))


def _spoilt(item: HostState, number: int) -> HostState:
    if number % 40 == 1:
        return replace(item, telemetry=_old(item))
    return replace(item, engine=Unknown("no answer in time")) if number % 40 == 2 else item


def _old(item: HostState) -> Telemetry | None:
    return item.telemetry and replace(item.telemetry, age=TELEMETRY_STALE_AFTER + 60.0)


def _alert(number: int) -> GateAlert:
    return GateAlert(name="HostDiskFilling", host=f"db{number:04}", fleet=False, firing=True, summary="3 % left")


def time_decisions(fleet: Snapshot, rng: random.Random, classes: Sequence[ResourceClass]) -> list[float]:
    """Milliseconds of each decision; `classes` are asked for."""
    sizes = (some_amounts(rng) for _ in range(DECISIONS))
    wanted = [request(f"b{number}", {key: size[key] for key in classes}) for number, size in enumerate(sizes)]
    return [_seconds(lambda one=one: decide(fleet, one)) * 1000 for one in wanted]  # type: ignore[misc]


def time_plan(strategy: Strategy, rng: random.Random) -> float:
    """Seconds of a plan of 500 on heterogeneous hosts, some of which run jobs already."""
    hosts, batch = heterogeneous(rng)
    return _seconds(lambda: plan_batch(snapshot(*hosts), batch, strategy))


def heterogeneous(rng: random.Random) -> tuple[list[HostState], list[Request]]:
    """100 hosts of four sizes, every third with jobs; 500 containers that nearly fill them."""
    hosts = []
    for number in range(BATCH_HOSTS):
        rows = inventory((0.5, 1.0, 1.5, 2.0)[number % 4])
        jobs = tuple(job(number * JOBS + one, some_amounts(rng, rows)) for one in range(2 if number % 3 == 0 else 0))
        hosts.append(host(f"db{number:03}", jobs=jobs, rows=rows))
    return hosts, [request(f"b{number:03}", some_amounts(rng)) for number in range(BATCH)]


def time_command() -> list[float]:
    """Seconds of `vdbmon place --dry-run`, from the shell to its end."""
    with stand_ins() as config:
        program = [sys.executable, "-c", "from vdbmon.cli import main; main()"]
        command = [*program, "place", "b1", "--source", "orders", "--dry-run", "--json"]
        return [_seconds(lambda: _run([*command, "--config", str(config)])) for _ in range(SHELL_RUNS)]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    verdicts = json.loads(done.stdout)["decision"]["verdicts"]
    hung = [item["host"] for item in verdicts if any(one["code"] == "engine.unreachable" for one in item["reasons"])]
    if len(verdicts) != SHELL_HOSTS or hung != ["db050"]:
        raise AssertionError(f"{len(verdicts)} hosts, {hung} unreachable: {done.stderr}")


@contextlib.contextmanager
def stand_ins() -> Iterator[Path]:
    """A configuration of 100 hosts, the 50th hung."""
    command = [sys.executable, "-m", "tests.bench.place_fleet", str(SHELL_HOSTS)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if process.stdin is None or process.stdout is None:
        raise AssertionError("no pipes")
    try:
        ports = json.loads(process.stdout.readline())
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "vdbmon.toml"
            path.write_text(_configuration(Path(folder), ports))
            yield path
    finally:
        process.stdin.close()
        process.wait(timeout=10)
        process.stdout.close()


def _configuration(folder: Path, ports: dict[str, int]) -> str:
    sizes = 'cpus = 16, memory = "128GiB", disk = "4TB", read_bps = "800MB", write_bps = "600MB"'
    hosts = "".join(
        f'[[hosts]]\nname = "db{number:03}"\nagent = "http://127.0.0.1:9"\n'
        f'docker = "tcp://127.0.0.1:{ports["hung"] if number == SHELL_HOSTS // 2 else ports["engines"]}"\n'
        f"inventory = {{ {sizes} }}\n"
        for number in range(SHELL_HOSTS)
    )
    return (
        f'[host]\nname = "db000"\n[prometheus]\nurl = "http://127.0.0.1:{ports["prometheus"]}"\n'
        f'[ledger]\nurl = "sqlite:///{folder}/ledger.db"\n[volumes]\ndir = "{folder}/volumes"\n{hosts}'
        '[[sources]]\nname = "orders"\nreach = "local"\nhost = "db000"\naddress = "unix:///run/mysqld.sock"\n'
        'data_dir = "/srv/orders"\ncredentials_file = "/etc/orders.cnf"\n'
    )


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def run() -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """All figures: times, and hosts used by way."""
    rng = random.Random(1)  # noqa: S311 - no secret
    fleet = mixed_fleet(rng)
    closed = closed_fleet(fleet)
    gc.collect()
    gc.freeze()
    open_ms = time_decisions(fleet, rng, tuple(ResourceClass))
    closed_ms = time_decisions(closed, rng, tuple(ResourceClass)[:6])
    figures = {
        "decide, mixed, median ms": median(open_ms),
        "decide, mixed, p99 ms": quantiles(open_ms, n=100)[98],
        "decide, all refused for ten reasons, median ms": median(closed_ms),
        "decide, all refused for ten reasons, p99 ms": quantiles(closed_ms, n=100)[98],
        "plan of 500 on 100 hosts, spread, s": time_plan(Strategy.SPREAD, rng),
        "plan of 500 on 100 hosts, pack, s": time_plan(Strategy.PACK, rng),
        "place --dry-run, 100 hosts, one hung, s": median(time_command()),
    }
    used = packing.hosts_used()
    return {**figures, "hosts used to optimum, mean": used["vdbmon place --batch"]["mean"]}, used


def main() -> None:
    """Print two tables and write build/bench-place.json; exit with 1 if a target is missed."""
    figures, used = run()
    table = Table("figure", "value", "at most")
    for name, value in figures.items():
        table.add_row(name, f"{value:.3g}", f"{TARGETS[name]:g}" if name in TARGETS else "")
    Console().print(table)
    ways = Table("hosts used to the optimum", *next(iter(used.values())))
    for way, row in used.items():
        ways.add_row(way, *(f"{value:.3f}" for value in row.values()))
    Console().print(ways)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"figures": figures, "hosts_used": used}, indent=2) + "\n")
    sys.exit(any(figures[name] > target for name, target in TARGETS.items()))


if __name__ == "__main__":
    main()
