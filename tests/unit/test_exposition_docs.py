from dataclasses import replace

from collector.catalogue import FLEET_METRICS, METRICS, cgroup
from collector.docs import metrics_page
from collector.metrics import Stability


def test_the_page_has_a_row_for_every_metric_in_their_order() -> None:
    page = metrics_page(METRICS, FLEET_METRICS)
    rows = [line.split("|")[1].strip(" `") for line in page.splitlines() if line.startswith("| `")]
    assert rows == [*METRICS, *FLEET_METRICS]


def test_a_row_says_both_names() -> None:
    assert metrics_page({"x": cgroup.CPU_USAGE}, {}).partition("\n## Of `vdbmon serve`")[0].splitlines()[-1] == (
        "| `container_cpu_usage_seconds_total` | counter | seconds | `name`, `image`, `cpu` | CPU time consumed. "
        "| `docker_container_cpu usage_total` |"
    )


def test_a_row_says_that_a_name_may_still_change() -> None:
    young = replace(cgroup.CPU_USAGE, stability=Stability.ALPHA)
    row = metrics_page({}, {young.name: young}).splitlines()[-1]
    assert row.startswith("| `container_cpu_usage_seconds_total` | counter, alpha |")


def test_no_cell_breaks_the_table() -> None:
    agent, serve = metrics_page(METRICS, FLEET_METRICS).split("\n## Of `vdbmon serve`")
    for table, columns in ((agent, 6), (serve, 5)):
        assert {line.count("|") for line in table.splitlines() if line.startswith("|")} == {columns + 1}
