"""What `vdbmon top` spends: on one answer, beside prometheus_client's parser, and on a whole fleet's refresh.

CPU seconds of this process. The fleet is 100 hosts of 32 CPUs with 5 containers each.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable

from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.text import Text

from collector import catalogue
from collector.metrics import Metric, Sample
from collector.projections.prometheus import Exposition as Renderer
from vdbmon.top.agents import Agent
from vdbmon.top.controls import Controls
from vdbmon.top.exposition import parse_exposition
from vdbmon.top.fleet import Fleet
from vdbmon.top.frame import Size, screen_lines
from vdbmon.top.glyphs import UTF8
from vdbmon.top.listing import Sort, list_rows
from vdbmon.top.measure import SELECTION, Reading

HOSTS, CONTAINERS, CPUS, DEVICES = 100, 5, 32, 8
MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice")
ROUNDS = 5


def answer(clock: float) -> str:
    """What the agent of a busy host says; counters grow with the clock."""
    samples = [sample for metric in catalogue.METRICS.values() for sample in _series(metric, 1e6 / 3 + clock)]
    return Renderer("db1").render(samples).decode()


def _series(metric: Metric, value: float) -> list[Sample]:
    if metric is catalogue.host.CPU_SECONDS:
        return [metric.sample(value, str(cpu), mode) for cpu in range(CPUS) for mode in MODES]
    if metric.labels[:2] == ("name", "image"):
        more = metric.labels[2:]
        return [
            metric.sample(value, f"backup-{number}", "registry.example/backup:10.11", *("total" for _ in more))
            for number in range(CONTAINERS)
        ]
    return [metric.sample(value, *(f"x{number}" for _ in metric.labels)) for number in range(DEVICES)][
        : None if metric.labels else 1
    ]


def best_cpu_seconds(call: Callable[[], object]) -> float:
    """CPU time of the quickest of some runs."""
    found = []
    for _ in range(ROUNDS):
        start = time.process_time()
        call()
        found.append(time.process_time() - start)
    return min(found)


def run() -> dict[str, float]:
    """All figures by name; times in milliseconds."""
    text = answer(0.0)
    ours = best_cpu_seconds(lambda: parse_exposition(text, SELECTION))
    library = best_cpu_seconds(lambda: list(text_string_to_metric_families(text)))
    agents = [Agent(f"http://{number}/metrics", f"db{number}") for number in range(HOSTS)]
    fleet = Fleet(agents)
    texts = iter([answer(2.0 * number) for number in range(ROUNDS)])
    refresh = best_cpu_seconds(lambda: _refresh(fleet, agents, next(texts)))
    return {
        "bytes of an answer": float(len(text)),
        "parse ms": ours * 1e3,
        "prometheus_client ms": library * 1e3,
        "speedup": library / ours,
        f"refresh of {HOSTS} hosts ms": refresh * 1e3,
    }


def _refresh(fleet: Fleet, agents: list[Agent], text: str) -> None:
    """All that one refresh costs but the network: read, measure, list and draw."""
    for agent in agents:
        fleet.answered(agent.url, Reading(parse_exposition(text, SELECTION), 0.0))
    views = fleet.views(0.0)
    rows = list_rows(views, Sort.CPU)
    lines = screen_lines(views, rows, Controls(), size=Size(160, 50), glyphs=UTF8, clock="12:00:00")
    Console(file=io.StringIO(), force_terminal=True, soft_wrap=True, highlight=False).print(Text("\n").join(lines))
