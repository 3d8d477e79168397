"""Tags of the configuration: in both name worlds, and after what a sample says itself."""

import pytest

from collector.catalogue import cgroup, host
from collector.constant_tags import check_tag_name, constant_tags
from collector.metrics import Sample
from collector.projections.point import Point
from collector.projections.prometheus import Exposition
from collector.projections.telegraf import TelegrafProjection

HOSTS = {"dc": "ams", "cpu": "not mine"}
TAGS = constant_tags({"dc": "fra", "az": "1"}, {host.CPU_SECONDS: HOSTS, host.MEMORY["MemTotal"]: HOSTS})
CPU = host.CPU_SECONDS.sample(1, "0", "user")
LOAD = host.LOAD1.sample(0.5)
SECOND = 10**9


def points(projection: TelegrafProjection, samples: list[Sample], at: float, **gathered: float) -> dict[str, Point]:
    return {
        point.measurement + dict(point.tags).get("cpu", ""): point
        for point in projection.project(samples, int(at * SECOND), gathered)
    }


def test_an_inputs_tags_go_before_the_global_ones_and_after_its_labels() -> None:
    text = Exposition("dr-01", TAGS).render([CPU, LOAD]).decode()
    assert 'node_cpu_seconds_total{cpu="0",mode="user",dc="ams",az="1",host="dr-01"} 1' in text
    assert 'node_load1{dc="fra",az="1",host="dr-01"} 0.5' in text


def test_points_carry_them_sorted_also_those_that_are_computed() -> None:
    found = points(TelegrafProjection("dr-01", TAGS), [CPU, LOAD], 1)
    assert found["cpucpu0"].tags == (("az", "1"), ("cpu", "cpu0"), ("dc", "ams"), ("host", "dr-01"))
    assert found["cpucpu-total"].tags[1] == ("cpu", "cpu-total")
    assert list(found["cpucpu-total"].tags) == sorted(found["cpucpu-total"].tags)
    assert found["system"].tags == (("az", "1"), ("dc", "fra"), ("host", "dr-01"))


def test_what_is_computed_of_two_inputs_is_found_under_tags() -> None:
    usage = cgroup.MEMORY_USAGE.sample(50, "dr-1", "mariadb:10.11")
    found = points(TelegrafProjection("dr-01", TAGS), [host.MEMORY["MemTotal"].sample(200), usage], 1)
    assert found["docker_container_mem"].fields["usage_percent"] == 25


def test_a_reading_that_is_given_again_tells_what_it_told_before() -> None:
    projection = TelegrafProjection("dr-01")

    def usage_at(at: float, used: float, gathered: float) -> object:
        sample = cgroup.CPU_USAGE.sample(used, "dr-1", "mariadb:10.11", "total")
        found = points(projection, [sample], at, cgroup=gathered)
        return found["docker_container_cpucpu-total"].fields.get("usage_percent")

    assert usage_at(10, 100, gathered=10) is None
    assert usage_at(20, 100, gathered=10) is None
    assert usage_at(70, 130, gathered=68) == pytest.approx(100 * 30 / 58)
    assert usage_at(80, 130, gathered=68) == pytest.approx(100 * 30 / 58)


@pytest.mark.parametrize("name", ["host", "job", "instance", "my-tag", "1a", "__name__", ""])
def test_names_that_would_clash_or_are_no_labels_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"choose another name|letters"):
        check_tag_name(name)
