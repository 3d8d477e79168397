"""Hosts that a set of containers takes, against the fewest that could hold it.

The optimum is known because full hosts are cut up: each into 3 to 8 containers, every dimension used to the last unit.
`even` cuts every dimension on its own, the hardest case; `alike` lets large containers be large in all dimensions, as
databases are. Hosts are alike and there are three times as many as needed. All but the plan see one container after the
other, in random order, as a queue would bring them; all of them check every dimension.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean

from orchestrator.decision.decide import decide
from orchestrator.decision.planning import plan_batch, with_job
from orchestrator.decision.request import Request
from orchestrator.decision.resources import Amounts, InventoryRow, ResourceClass
from orchestrator.decision.scoring import Strategy
from orchestrator.decision.snapshot import HostState
from tests.support.placing import NOW, host, request, snapshot

OPTIMUM = 20
SEEDS = range(5)
SIZE = 1_000_000
SMALLEST, LARGEST = 3, 8
KINDS = ("even", "alike")
DIMENSIONS = (5, 10)

Chooser = Callable[[list[HostState], Request], HostState | None]


def cut_up(kind: str, dimensions: int, seed: int) -> list[Amounts]:
    """The containers that fill OPTIMUM hosts exactly, in random order."""
    rng = random.Random(f"{kind} {dimensions} {seed}")  # noqa: S311 - no secret
    keys = list(ResourceClass)[:dimensions]
    found: list[Amounts] = []
    for _ in range(OPTIMUM):
        count = rng.randint(SMALLEST, LARGEST)
        sizes = [rng.expovariate(1) + 0.25 for _ in range(count)]
        columns = {key: _cut([_part(rng, kind, size) for size in sizes]) for key in keys}
        found.extend({key: columns[key][number] for key in keys} for number in range(count))
    rng.shuffle(found)
    return found


def _part(rng: random.Random, kind: str, size: float) -> float:
    return rng.expovariate(1) + 0.15 if kind == "even" else size * rng.lognormvariate(0, 0.5)


def _cut(parts: Sequence[float]) -> list[int]:
    """SIZE in these proportions, to the last unit."""
    total = sum(parts)
    amounts = [max(int(SIZE * part / total), 1) for part in parts]
    amounts[0] += SIZE - sum(amounts)
    return amounts


def planned(hosts: list[HostState], requests: Sequence[Request]) -> int:
    """`vdbmon place --batch --strategy pack`."""
    plan = plan_batch(snapshot(*hosts), requests, Strategy.PACK)
    if plan.refused:
        raise AssertionError("the plan refused what fits")
    return len({item.host for item in plan.assignments})


def one_by_one(choose: Chooser) -> Callable[[list[HostState], Sequence[Request]], int]:
    """Place in the order of the requests; the hosts used."""

    def place(hosts: list[HostState], requests: Sequence[Request]) -> int:
        left = list(hosts)
        for wanted in requests:
            chosen = choose(left, wanted)
            if chosen is None:
                raise AssertionError("no host had room")
            left[left.index(chosen)] = with_job(chosen, wanted, NOW)
        return sum(bool(item.jobs) for item in left)

    return place


def first_fit(hosts: list[HostState], wanted: Request) -> HostState | None:
    """The first host with room."""
    return next((item for item in hosts if _fits(item, wanted)), None)


def swarm_spread(hosts: list[HostState], wanted: Request) -> HostState | None:
    """Docker Swarm: the host with the fewest containers."""
    return min((item for item in hosts if _fits(item, wanted)), key=lambda item: len(item.jobs), default=None)


def swarm_binpack(hosts: list[HostState], wanted: Request) -> HostState | None:
    """Docker Swarm: the host where CPU and memory are fullest."""
    keys = (ResourceClass.CPU, ResourceClass.MEMORY)
    return min(
        (item for item in hosts if _fits(item, wanted)),
        key=lambda item: sum(item.free[key] for key in keys),
        default=None,
    )


def vdbmon_pack(hosts: list[HostState], wanted: Request) -> HostState | None:
    """`vdbmon place --strategy pack`, one container at a time."""
    decision = decide(snapshot(*hosts), wanted, Strategy.PACK)
    return next((item for item in hosts if item.name == decision.host), None)


WAYS: dict[str, Callable[[list[HostState], Sequence[Request]], int]] = {
    "vdbmon place --batch": planned,
    "vdbmon place, one by one": one_by_one(vdbmon_pack),
    "first fit": one_by_one(first_fit),
    "Docker Swarm binpack": one_by_one(swarm_binpack),
    "Docker Swarm spread": one_by_one(swarm_spread),
}


def hosts_used() -> dict[str, dict[str, float]]:
    """Mean of hosts used to the optimum, by way and kind of set; `mean` over all sets."""
    table: dict[str, dict[str, float]] = {}
    for way, place in WAYS.items():
        row = {
            f"{kind}, {dimensions} dimensions": fmean(_ratio(place, kind, dimensions, seed) for seed in SEEDS)
            for kind in KINDS
            for dimensions in DIMENSIONS
        }
        table[way] = {**row, "mean": fmean(row.values())}
    return table


def _ratio(place: Callable[[list[HostState], Sequence[Request]], int], kind: str, dimensions: int, seed: int) -> float:
    sizes = cut_up(kind, dimensions, seed)
    rows = {key: InventoryRow(SIZE) for key in list(ResourceClass)[:dimensions]}
    hosts = [replace(host(f"db{number:02}", rows=rows), allocated={}) for number in range(3 * OPTIMUM)]
    return place(hosts, [request(f"b{number:03}", size) for number, size in enumerate(sizes)]) / OPTIMUM


def _fits(item: HostState, wanted: Request) -> bool:
    return all(amount <= item.free[key] for key, amount in wanted.amounts.items())
