"""Every metric that vdbmon can emit: the one vocabulary of agent, rules, panels and scheduler.

Readers refer to the declared objects (`catalogue.host.FS_AVAIL`), so that a rename breaks at import.
"""

from __future__ import annotations

from types import ModuleType

from collector import fleet_metrics as fleet
from collector import schedule_metrics as schedule
from collector.inputs import (
    cgroup,
    containers,
    docker,
    exec,  # noqa: A004 - telegraf's word
    host,
    internal,
    job,
    lxcfs,
    network,
    ovs,
    process,
    tables,
    volume,
)
from collector.metrics import Metric, declared

__all__ = [
    "FLEET_METRICS",
    "INPUT_MODULES",
    "METRICS",
    "cgroup",
    "containers",
    "docker",
    "exec",
    "fleet",
    "gather_declarations",
    "host",
    "internal",
    "job",
    "lxcfs",
    "network",
    "ovs",
    "process",
    "schedule",
    "tables",
    "volume",
]

INPUT_MODULES: tuple[ModuleType, ...] = (
    host,
    containers,
    cgroup,
    network,
    process,
    volume,
    lxcfs,
    job,
    exec,
    docker,
    ovs,
    tables,
    internal,
)


def gather_declarations(modules: tuple[ModuleType, ...]) -> dict[str, Metric]:
    """All declared metrics by name.

    Raises:
        ValueError: two inputs declare the same name.
    """
    by_name: dict[str, Metric] = {}
    for module in modules:
        for metric in declared(vars(module).values()):
            if by_name.setdefault(metric.name, metric) is not metric:
                raise ValueError(f"{metric.name} is declared twice, the second time in {module.__name__}")
    return by_name


METRICS = gather_declarations(INPUT_MODULES)
"""What the agent on a host emits."""

FLEET_METRICS = {
    name: metric
    for name, metric in gather_declarations((*INPUT_MODULES, fleet, schedule)).items()
    if name not in METRICS
}
"""What `vdbmon serve` emits, once per fleet."""
