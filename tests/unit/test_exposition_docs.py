from collector.catalogue import METRICS, cgroup
from collector.docs import metrics_page


def test_the_page_has_a_row_for_every_metric_in_their_order() -> None:
    rows = [line.split("|")[1].strip(" `") for line in metrics_page(METRICS).splitlines() if line.startswith("| `")]
    assert rows == list(METRICS)


def test_a_row_says_both_names() -> None:
    assert metrics_page({"x": cgroup.CPU_USAGE}).splitlines()[-1] == (
        "| `container_cpu_usage_seconds_total` | counter | seconds | `name`, `image`, `cpu` | CPU time consumed. "
        "| `docker_container_cpu usage_total` |"
    )


def test_no_cell_breaks_the_table() -> None:
    assert {line.count("|") for line in metrics_page(METRICS).splitlines() if line.startswith("|")} == {7}
