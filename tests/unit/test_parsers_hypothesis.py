"""Every parser of kernel files on anything at all, 2,000 examples each: no exception, no number beyond 64 bits."""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, is_dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.blockdevices import BlockDevices
from collector.cgroup.hierarchy import Hierarchy, detect_hierarchy
from collector.cgroup.members import CgroupMembers
from collector.cgroup.v1 import parse_blkio, parse_throttle
from collector.cgroup.v2 import parse_cpu_max, parse_nested_keyed
from collector.containers import MALFORMED, parse_metadata
from collector.docker_files import parse_state
from collector.host.cpu import parse_cpuinfo
from collector.host.cpu import parse_stat as parse_cpu_stat
from collector.host.disks import parse_diskstats
from collector.host.filesystems import parse_mounts
from collector.host.links import parse_attribute, parse_word
from collector.host.memory import parse_meminfo, parse_vmstat
from collector.host.snmp import parse_snmp
from collector.kernelfile import SkippedLines, parse_count, parse_flat_keyed, parse_limit, parse_pressure
from collector.netdev import parse_net_dev
from collector.procfs import parse_open_files_limit, parse_stat

EXAMPLES = settings(max_examples=2000, deadline=None)

Parser = Callable[[bytes, SkippedLines], object]

PARSERS: tuple[Parser, ...] = (
    *(parse_count, parse_limit, parse_flat_keyed, parse_pressure),
    *(parse_blkio, parse_throttle, parse_nested_keyed, parse_cpu_max),
    *(
        parse_cpu_stat,
        parse_diskstats,
        parse_meminfo,
        parse_mounts,
        parse_attribute,
        parse_word,
        parse_net_dev,
        parse_snmp,
    ),
)
WORDS = (
    *(
        b"cpu",
        b"cpu0",
        b"intr",
        b"btime",
        b"some",
        b"full",
        b"avg10=0.00",
        b"total=",
        b"max",
        b"-1",
        b"MemTotal:",
        b"kB",
        b"Tcp:",
        b"MaxConn",
    ),
    *(b"254:0", b"8:16", b"Read", b"Write", b"Total", b"rbytes=", b"wios=1", b"eth0:", b"lo:", b"|", b"(a) (b)", b"S"),
    *(b"0", b"7", b"18446744073709551615", b"9" * 30, b"9" * 5000, b"\xff\xfe", b"\0", b"/", b"\\040", b"1_0", b"+1"),
    *(
        b"Max open files",
        b"processor",
        b"physical id",
        b"core id",
        b": ",
        b"=",
        b"rw,ro",
        b"ext4",
        b"cgroup",
        b"cgroup2",
    ),
    *(b"/sys/fs/cgroup/memory", b"\xc2\xa0", b"1.5", b"nan"),
)
_ENDS = (b" ", b"\n", b"", b"\t", b" ")
# Words of the real formats in any order meet more of a parser than bytes do; each byte stands for a word and its end.
kernel_like = st.binary(max_size=60).map(
    lambda data: b"".join(WORDS[byte % len(WORDS)] + _ENDS[byte % len(_ENDS)] for byte in data)
)
data_of_any_kind = st.one_of(kernel_like, st.binary(max_size=300))


def numbers(found: object) -> Iterable[float]:
    """All numbers anywhere in what a parser gives."""
    if isinstance(found, int | float):
        yield found
    elif is_dataclass(found) and not isinstance(found, type):
        yield from numbers(astuple(found))
    elif isinstance(found, Mapping):
        yield from numbers(tuple(found.values()))
    elif isinstance(found, tuple | list):
        for part in found:
            yield from numbers(part)


def check(found: object) -> None:
    for number in numbers(found):
        assert 0 <= number < 10**20 * 1024


@EXAMPLES
@given(data_of_any_kind)
def test_any_file_is_parsed_or_skipped(data: bytes) -> None:
    for parse in PARSERS:
        check(parse(data, SkippedLines()))


@EXAMPLES
@given(data_of_any_kind)
def test_files_without_a_count_of_skipped_lines(data: bytes) -> None:
    check(parse_cpuinfo(data))
    check(parse_open_files_limit(data))
    check(parse_vmstat(data, {b"intr", b"cpu"}, SkippedLines()))
    parsed = parse_stat(data)
    assert parsed is None or parsed[0].encode() is not None
    detect_hierarchy(data.decode(errors="surrogateescape"), Path("/sys/fs/cgroup"))


@EXAMPLES
@given(data=data_of_any_kind)
def test_tables_that_are_read_whole(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "tables"
    folder.mkdir(exist_ok=True)
    (folder / "diskstats").write_bytes(data)
    assert BlockDevices(folder).name("254:0").encode() is not None
    (folder / "cgroup.procs").write_bytes(data)
    with contextlib.closing(CgroupMembers(Hierarchy(folder, {}))) as members:
        pids = members.pids("")
    assert len(pids) == len(set(pids))
    check(pids)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=9), inner, max_size=3)),
    max_leaves=3,
)
times = st.one_of(json_values, st.datetimes().map(lambda moment: moment.isoformat() + "Z"))
documents = st.fixed_dictionaries(
    {"Name": json_values},
    optional={
        "Config": st.one_of(json_values, st.fixed_dictionaries({"Image": json_values, "Labels": json_values})),
        "RestartCount": json_values,
        "State": st.one_of(
            json_values,
            st.fixed_dictionaries(
                {
                    **dict.fromkeys(("Running", "Paused", "Pid", "ExitCode", "OOMKilled", "Health"), json_values),
                    "StartedAt": times,
                    "FinishedAt": times,
                }
            ),
        ),
    },
)


@EXAMPLES
@given(documents)
def test_any_document_of_the_daemon_is_understood_or_malformed(document: Mapping[str, object]) -> None:
    with contextlib.suppress(*MALFORMED):
        parse_metadata(document, document)
    with contextlib.suppress(*MALFORMED):
        parse_state(document)
