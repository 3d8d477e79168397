from pathlib import Path
from types import ModuleType

import pytest

from collector.catalogue import FLEET_METRICS, INPUT_MODULES, METRICS, gather_declarations, host
from collector.docs import metrics_page
from collector.metrics import Kind, gauge


def test_names_follow_prometheus_conventions() -> None:
    wrong = [name for name, metric in METRICS.items() if metric.kind is Kind.INFO and not name.endswith("_info")]
    assert wrong == []
    # node_exporter, cAdvisor and openstack-network-exporter have counters without the suffix; nothing new may be added.
    historic = {metric.name for metric in host.VMSTAT.values()} | {"container_memory_failcnt"}
    historic |= {metric.name for metric in host.NETSTAT.values() if metric.kind is Kind.COUNTER}
    historic |= {
        f"ovs_interface_{way}_{what}" for way in ("rx", "tx") for what in ("bytes", "packets", "dropped", "errors")
    }
    historic |= {"ovs_interface_link_resets", "ovs_interface_rx_missed_errors", "ovs_interface_tx_retries"}
    counters = {name for name, metric in METRICS.items() if metric.kind is Kind.COUNTER}
    assert {name for name in counters if not name.endswith("_total")} == historic


def test_a_name_declared_twice_is_refused() -> None:
    twin = ModuleType("twin")
    twin.CPU = gauge("node_load1", "the same name once more")  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="node_load1 is declared twice"):
        gather_declarations((*INPUT_MODULES, twin))


def test_no_data_series_carries_an_identity_that_changes_at_a_restart() -> None:
    fleeting = {"id", "pid", "container_id"}
    offenders = [m.name for m in METRICS.values() if m.kind is not Kind.INFO and fleeting & set(m.labels)]
    assert offenders == []


def test_no_label_is_one_that_prometheus_or_our_outputs_set() -> None:
    taken = {"job", "instance", "host"}
    assert [metric.name for metric in METRICS.values() if taken & set(metric.labels)] == []


def test_the_committed_page_of_metrics_is_the_generated_one() -> None:
    page = Path(__file__).parents[2] / "docs" / "metrics.md"
    assert page.read_text() == metrics_page(METRICS, FLEET_METRICS), "run `vdbmon agent metrics > docs/metrics.md`"
