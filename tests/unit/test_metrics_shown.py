"""Every declared metric is read: by a panel, a rule, or whoever the list below names."""

import re
from collections.abc import Iterator

from alerts.rules import RECORDED, RULES
from collector.catalogue import FLEET_METRICS, METRICS
from dashboards.generated import all_dashboards
from dashboards.spec import Source

DECLARED = METRICS | FLEET_METRICS

# Who reads a metric that no panel and no rule reads, by pattern of its name.
ELSEWHERE = {
    r"node_\w+": "node_exporter's names, for dashboards and alerts that people have",
    r"(container|machine)_\w+": "cAdvisor's names, for dashboards and alerts that people have",
    r"ovs_\w+": "the names of exporters of Open vSwitch, for dashboards that people have",
    r"vdbmon_container_memory_\w+": "explains where memory went; panels have the parts that decide",
    r"vdbmon_process_(threads|oldest_start_time_seconds)": "panels have tasks of their limit and the job's start",
    r"vdbmon_(volume|serve|container_health|ovs_port_qos)_info": "labels to join with, by hand",
    r"vdbmon_container_network_namespace_shared": "says why a container has no figures of a network",
    r"vdbmon_container_health_failing_streak": "explains a health that the panel of the engines has",
    r"vdbmon_ovs_interface_container_info": "`vdbmon top` reads it",
    r"vdbmon_lxcfs_(mounts|last_read_timestamp_seconds)": "explains ContainerLxcfsGone",
    r"vdbmon_exec_duration_seconds": "the panel has the age of the last good run, which a slow one raises",
    r"vdbmon_config_last_reload_success_timestamp_seconds": "the panel has whether the last reload failed",
    r"vdbmon_volume_free_bytes": "what is left for root; jobs have what is available",
    r"vdbmon_volume_du_failures_total": "the panel has the age of du, which a failure raises",
}


def expressions() -> Iterator[str]:
    """PromQL of panels, marks, choices, alerts and recording rules, texts of alerts too: they ask as well."""
    for dashboard in all_dashboards():
        if dashboard.source is Source.PROMETHEUS:
            yield from (query.expr for panel in dashboard.panels() for query in panel.expressions())
            yield from (mark.expr for mark in dashboard.annotations)
            yield from (variable.query for variable in dashboard.variables)
    for rule in RULES:
        yield rule.expr + rule.description
    yield from (rule.expr for rule in RECORDED)


READ = {name for text in expressions() for name in re.findall(r"[a-zA-Z_][a-zA-Z0-9_]*", text)} & DECLARED.keys()


def reasons(name: str) -> list[str]:
    return [reason for pattern, reason in ELSEWHERE.items() if re.fullmatch(pattern, name)]


def test_every_metric_is_shown_or_alerted_on_or_has_another_reader() -> None:
    assert sorted(name for name in DECLARED.keys() - READ if not reasons(name)) == []


def test_what_has_another_reader_is_not_shown_already_and_has_one_reason() -> None:
    unread = DECLARED.keys() - READ
    for pattern in ELSEWHERE:
        assert any(re.fullmatch(pattern, name) for name in unread), f"{pattern} is not needed"
    for name in unread:
        assert len(reasons(name)) == 1, name
