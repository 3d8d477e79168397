"""promtool's linter on an exposition of every declared metric."""

import re
import subprocess

from collector import catalogue
from collector.metrics import Kind, Sample
from collector.projections.prometheus import Exposition

# What the field has called so for years keeps its name; nothing new may join this list.
_CAMEL = re.compile(r"[a-z][A-Z]")
HISTORIC = {
    catalogue.cgroup.MEMORY_FAILCNT.name: 'counter metrics should have "_total" suffix',
    **{metric.name: 'counter metrics should have "_total" suffix' for metric in catalogue.host.VMSTAT.values()},
    **{
        metric.name: "metric names should be written in 'snake_case' not 'camelCase'"
        for metric in (*catalogue.host.MEMORY.values(), *catalogue.host.NETSTAT.values())
        if _CAMEL.search(metric.name)
    },
    # openstack-network-exporter's and ovs_exporter's names; test_catalogue.py lists the counters one by one.
    **{
        name: 'counter metrics should have "_total" suffix'
        for name, metric in catalogue.METRICS.items()
        if name.startswith("ovs_interface_") and metric.kind is Kind.COUNTER
    },
    **{
        metric.name: 'non-histogram and non-summary metrics should not have "_count" suffix'
        for metric in (catalogue.ovs.BRIDGE_PORTS, catalogue.tables.BRIDGE_FLOWS)
    },
}


def test_promtool_objects_to_historic_names_only() -> None:
    samples = [Sample(metric, ("x",) * len(metric.labels), 1) for metric in catalogue.METRICS.values()]
    answer = subprocess.run(
        ["promtool", "check", "metrics"],
        input=Exposition("host-1").render(samples),
        capture_output=True,
        check=False,
        timeout=30,
    )
    objections = dict(line.split(" ", 1) for line in answer.stderr.decode().splitlines())
    assert objections == HISTORIC
