"""The text of an agent, read for `top`: prometheus_client's parser is the oracle."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from collector.inputs import cgroup, host, process
from collector.metrics import Sample
from tests.support.top import exposition_text
from vdbmon.top.exposition import parse_exposition

WANTED = {cgroup.CPU_USAGE: (), cgroup.MEMORY_USAGE: (), process.CPU: (), host.LOAD1: ()}
OTHERS = (cgroup.CPU_USER, cgroup.MEMORY_CACHE, process.COUNT, host.LOAD15)

values = st.floats(allow_nan=False)
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
samples = st.builds(
    lambda metric, labels, value: Sample(metric, tuple(labels[: len(metric.labels)]), value),
    st.sampled_from([*WANTED, *OTHERS]),
    st.lists(texts, min_size=3, max_size=3),
    values,
)


@given(st.lists(samples, max_size=20))
def test_what_the_library_reads_is_read(given_samples: list[Sample]) -> None:
    text = exposition_text(given_samples)
    expected = {
        (sample.name, tuple(sample.labels.get(key, "") for key in metric.labels)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        for metric in WANTED
        if metric.name == sample.name
    }
    found = parse_exposition(text, WANTED)
    assert {
        (metric.name, labels): value for metric, series in found.values.items() for labels, value in series.items()
    } == expected
    assert found.host == ("db1" if expected else "")


@given(st.text() | st.text(alphabet='# TYPE node_load1{host="x"} 0.5\n\\'))
def test_no_text_is_an_error(text: str) -> None:
    parse_exposition(text, WANTED)
    parse_exposition(f"# TYPE node_load1 gauge\nnode_load1{text}\n", WANTED)


def test_only_the_series_that_are_asked_for_are_kept() -> None:
    found = parse_exposition(
        exposition_text([host.CPU_SECONDS.sample(1, "0", "idle"), host.CPU_SECONDS.sample(2, "0", "user")]),
        {host.CPU_SECONDS: ('mode="idle"',)},
    )
    assert found.of(host.CPU_SECONDS) == {("0", "idle"): 1}


def test_labels_that_a_metric_does_not_declare_are_dropped() -> None:
    text = '# TYPE node_load1 gauge\nnode_load1{rack="7",host="db1"} 0.5 1700000000\n'
    assert parse_exposition(text, WANTED).value(host.LOAD1) == 0.5


def test_a_name_that_begins_like_another_is_not_taken_for_it() -> None:
    text = "# TYPE node_load1 gauge\nnode_load15 3\nnode_load1 1\nnode_load1 x\nnode_load1\n"
    assert parse_exposition(text, WANTED).of(host.LOAD1) == {(): 1.0}
