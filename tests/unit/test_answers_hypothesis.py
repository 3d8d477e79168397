"""What others answer or write, read by our parsers: anything at all, 2,000 examples each, gives nothing false.

The parsers of the inputs tables, ovs, volume, job and exec; those of kernel files are in test_parsers_hypothesis.
"""

import contextlib
import math
import re
import struct
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.catalogue import METRICS
from collector.foreign import ForeignMetrics
from collector.inputs.exec import MAX_VALUES, Command, run_of
from collector.inputs.job import parse_job_text
from collector.inputs.ovs import Reading
from collector.inputs.ovs import samples as ovs_samples
from collector.inputs.tables import (
    parse_arp,
    parse_neighbour_statistics,
    parse_upcalls,
    thin_pool_samples,
)
from collector.kernelfile import SkippedLines
from collector.metrics import Kind
from collector.mountinfo import parse_mountinfo
from collector.openflow import active_flows
from collector.projections.prometheus import Exposition
from collector.settings import DataFormat
from collector.thin_pools import parse_thin_pools
from collector.vswitch import COLUMNS, parse_switch

EXAMPLES = settings(max_examples=2000, deadline=None)
_64_BITS = 2**64


def texts(*words: str) -> st.SearchStrategy[str]:
    """Lines made of the words of a format in any order, or of anything."""
    every = (
        *words,
        " ",
        " ",
        "\n",
        "\n",
        "\t",
        "",
        "-1",
        "7",
        "9" * 21,
        "9" * 5000,
        "1_0",
        "\u0663",
        "nan",
        "\0",
        "\\",
    )
    made = st.lists(st.sampled_from(every), max_size=60).map("".join)
    return st.one_of(made, st.text(max_size=200))


def encoded(*words: str) -> st.SearchStrategy[bytes]:
    return st.one_of(texts(*words).map(lambda text: text.encode(errors="replace")), st.binary(max_size=200))


@EXAMPLES
@given(encoded("IP address HW type\n", "192.0.2.1 0x1 0x2 02:fc:00:00:00:05 * eth0\n", "192.0.2.1", "*", "eth0"))
def test_neighbours(data: bytes) -> None:
    found = parse_arp(data, SkippedLines())
    assert sum(found.values()) <= max(data.count(b"\n") - 1, 0)
    assert all(count > 0 for count in found.values())


@EXAMPLES
@given(encoded("entries  allocs table_fulls\n", "0000001f ", "ffffffff", "-f", "0x1f", "entries"))
def test_statistics_of_neighbours(data: bytes) -> None:
    for value in parse_neighbour_statistics(data, SkippedLines()).values():
        assert 0 <= value < _64_BITS * max(data.count(b"\n"), 1)


@EXAMPLES
@given(texts("netdev@ovs-netdev:", "  flows         : ", "(current 2)", "(limit 82000)", "(current ", "(limit ", ")"))
def test_upcalls(text: str) -> None:
    for flows, limit in parse_upcalls(text).values():
        assert 0 <= flows < 10**20
        assert 0 <= limit < 10**20
        assert re.search(str(flows), text)


@EXAMPLES
@given(encoded("pool: ", "0 9 thin-pool 1 ", "1/2 ", "3/", "/4", "- rw no_discard_passdown x - 1024\n", "Fail", "ro"))
def test_thin_pools(data: bytes) -> None:
    for pool in parse_thin_pools(data, SkippedLines()).values():
        for used, total in (pool.metadata, pool.data):
            assert 0 <= used < 10**20
            assert 0 <= total < 10**20
    found = list(thin_pool_samples(data, SkippedLines()))
    assert len({sample[:2] for sample in found}) == len(found)


@EXAMPLES
@given(
    encoded("36 35 ", "98:0 ", "/mnt1 ", "/mnt\\040two ", "rw,noatime ", "master:1 ", "- ", "ext4 ", "/dev/root ", "rw")
)
def test_mounts(data: bytes) -> None:
    skipped = SkippedLines()
    mounts = list(parse_mountinfo(data, skipped))
    assert len(mounts) + skipped.count == data.count(b"\n") + (not data.endswith(b"\n") and bool(data))
    for mount in mounts:
        assert re.fullmatch(r"[0-9]+:[0-9]+", mount.number)
        assert mount.readonly is ("ro" in mount.options.split(","))


@EXAMPLES
@given(
    st.binary(max_size=120),
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)), max_size=5),
)
def test_flows(data: bytes, tables: list[tuple[int, int]]) -> None:
    with contextlib.suppress(ValueError):
        assert 0 <= active_flows(6, data) < 2**32 * 120
    entries = b"".join(struct.pack("!B3xIQQ", 1, active, looked, 0) for active, looked in tables)
    assert active_flows(6, entries) == sum(active for active, _ in tables)


_atoms = st.one_of(
    st.integers(),
    st.sampled_from(
        [10**400, 2**64, -1, 1.5, True, None, "", "1", "u1", "u2", "br", "\ud800", ["uuid", "u1"], ["uuid", 5]]
    ),
    st.text(max_size=4),
)
_sets = st.lists(_atoms, max_size=3).map(lambda elements: ["set", elements])
_maps = st.lists(st.lists(_atoms, min_size=1, max_size=3), max_size=3).map(lambda elements: ["map", elements])
_counters = st.dictionaries(
    st.sampled_from(["rx_bytes", "tx_bytes", "max-rate", "min-rate", "container_id", "0", "1"]), _atoms, max_size=4
).map(lambda found: ["map", [list(pair) for pair in found.items()]])
_columns = st.one_of(_atoms, _sets, _maps, _counters)


@st.composite
def databases(draw: st.DrawFn) -> dict[str, list[Any]]:
    """Rows of every table, of any content; most of the columns that are asked for are there."""
    return {
        table: draw(
            st.lists(
                st.one_of(
                    st.fixed_dictionaries(
                        {
                            "name": st.sampled_from(["a", "b"]),
                            "_uuid": st.sampled_from([["uuid", "u1"], ["uuid", "u2"]]),
                        },
                        optional=dict.fromkeys([name for name in columns if name not in {"name", "_uuid"}], _columns),
                    ),
                    st.sampled_from([None, 5, "row", [], {}]),
                ),
                max_size=2,
            )
        )
        for table, columns in COLUMNS.items()
    }


@EXAMPLES
@given(tables=databases(), alive=st.booleans())
def test_databases_of_a_switch(tables: dict[str, list[Any]], *, alive: bool) -> None:
    found = list(ovs_samples(Reading(parse_switch(tables, SkippedLines()), alive), [], 50))
    assert len({sample[:2] for sample in found}) == len(found), "no series twice"
    for metric, labels, value in found:
        assert math.isfinite(value)
        assert value >= (-1 if metric.kind is Kind.GAUGE else 0)
        assert len(labels) == len(metric.labels)
    Exposition("h").render(found)


@EXAMPLES
@given(
    texts(
        "vdbmon_backup_state",
        '{state="done"}',
        '{state="failed"}',
        " 1\n",
        " 0\n",
        "vdbmon_backup_bytes",
        '{kind="raw"}',
    )
)
def test_what_a_job_writes(text: str) -> None:
    found = parse_job_text(text)
    states = [value for (metric, _), value in found.values.items() if metric.name == "vdbmon_backup_state"]
    assert not states or sorted(states) == [0.0] * (len(states) - 1) + [1.0]
    assert all(0 <= value < math.inf for value in found.values.values())


@EXAMPLES
@given(
    encoded(
        "# TYPE a counter\n", "a", '{b="c"}', " 1\n", "up 1\n", "node_load1 1\n", "cpu,x=y ", "f=1i", ",g=2", "=", "# "
    ),
    st.sampled_from(DataFormat),
)
def test_what_a_command_prints(output: bytes, data_format: DataFormat) -> None:
    foreign = ForeignMetrics(METRICS)
    run = run_of(output, Command("c", ("cat",), data_format, 5.0, 60.0), foreign)
    found, _ = foreign.samples(run.values)
    assert len(found) <= MAX_VALUES
    assert len({sample[:2] for sample in found}) == len(found)
    for metric, labels, value in found:
        assert math.isfinite(value)
        assert value >= 0 or metric.kind is not Kind.COUNTER
        assert metric.name not in METRICS
        assert len(labels) == len(metric.labels)
