from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.kernelfile import (
    KeptFile,
    SkippedLines,
    parse_count,
    parse_flat_keyed,
    parse_limit,
    parse_pressure,
    read_file,
)


def test_a_kept_file_is_read_anew_each_time(tmp_path: Path) -> None:
    path = tmp_path / "memory.current"
    path.write_bytes(b"1\n")
    kept = KeptFile(path)
    assert kept.read() == b"1\n"
    path.write_bytes(b"4096\n")
    assert kept.read() == b"4096\n"
    kept.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        kept.read()


def test_a_list_that_the_kernel_gives_page_by_page_comes_whole() -> None:
    mappings = Path("/proc/self/maps")
    last = mappings.read_bytes().splitlines()[-1]
    found = read_file(mappings)
    assert len(found) > 4096
    assert found.splitlines()[-1] == last
    kept = KeptFile(mappings)
    assert kept.read().splitlines()[-1] == last
    kept.close()


def test_a_file_longer_than_one_read_comes_whole(tmp_path: Path) -> None:
    path = tmp_path / "cgroup.procs"
    content = b"".join(b"%d\n" % number for number in range(20_000))
    path.write_bytes(content)
    assert read_file(path) == content


@pytest.mark.parametrize("torn", [b"12", b"", b"\n", b"-5\n", b"1 2\n", b"x\n"])
def test_a_count_that_is_none_is_skipped_and_counted(torn: bytes) -> None:
    skipped = SkippedLines()
    assert parse_count(torn, skipped) is None
    assert skipped.count == 1


def test_no_limit_is_not_an_error() -> None:
    skipped = SkippedLines()
    assert [parse_limit(data, skipped) for data in (b"max\n", b"-1\n", b"100\n")] == [None, None, 100]
    assert skipped.count == 0


def test_a_torn_last_line_never_becomes_a_smaller_number() -> None:
    skipped = SkippedLines()
    assert parse_flat_keyed(b"usage_usec 612829\nuser_usec 2639", skipped) == {b"usage_usec": 612829}
    assert skipped.count == 1


def test_pressure_is_in_seconds() -> None:
    data = (
        b"some avg10=23.42 avg60=4.40 avg300=0.92 total=2981657\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\n"
    )
    assert parse_pressure(data, SkippedLines()) == {"some": 2.981657, "full": 1.0}


@given(st.binary(max_size=300))
def test_no_content_escapes_as_an_exception(data: bytes) -> None:
    skipped = SkippedLines()
    parse_count(data, skipped)
    parse_limit(data, skipped)
    assert all(value >= 0 for value in parse_flat_keyed(data, skipped).values())
    assert all(value >= 0 for value in parse_pressure(data, skipped).values())


@given(st.dictionaries(st.from_regex(rb"[a-z_]{1,20}", fullmatch=True), st.integers(0, 2**64)), st.integers(0, 400))
def test_a_cut_file_gives_only_values_of_the_whole_one(values: dict[bytes, int], cut: int) -> None:
    data = b"".join(b"%s %d\n" % item for item in values.items())
    assert parse_flat_keyed(data, SkippedLines()) == values
    assert parse_flat_keyed(data[:cut], SkippedLines()).items() <= values.items()
