import fcntl
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import VdbmonError
from collector.outputs.frame import HEADER_SIZE, DamagedFrameError, pack, unpack_header, unpack_records
from collector.outputs.spool import Cause, Spool
from tests.support.limits import no_more_descriptors

LIMIT = 2**20
NONE_DROPPED = dict.fromkeys(Cause, 0)


@pytest.fixture
def opened() -> Iterator[list[Spool]]:
    spools: list[Spool] = []
    yield spools
    for spool in spools:
        spool.close()


def records(*numbers: int) -> list[bytes]:
    return [b"m f=%di\n5" % number for number in numbers]


def take_all(spool: Spool, limit: int = 1000) -> list[bytes]:
    found: list[bytes] = []
    while batch := spool.take(limit):
        found += batch.records
        spool.done(batch.number + len(batch.records))
    return found


def dropped(**causes: int) -> dict[Cause, int]:
    return NONE_DROPPED | {Cause(name): count for name, count in causes.items()}


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.seg"))


def abandon(spool: Spool) -> None:
    """What kill -9 leaves: files as they are, the lock gone."""
    assert spool._segments is not None
    fcntl.flock(spool._segments._descriptor, fcntl.LOCK_UN)


def test_records_come_back_in_order_in_batches(tmp_path: Path, opened: list[Spool]) -> None:
    spool = Spool(tmp_path / "out", limit=LIMIT, clock=lambda: 100.0)
    opened.append(spool)
    for numbers in [(1, 2), (3,), (4, 5, 6, 7, 8)]:
        spool.put(records(*numbers))
    assert (spool.stats().records, spool.stats().oldest) == (8, 100.0)
    first = spool.take(4)
    assert first is not None
    assert list(first.records) == records(1, 2, 3), "whole frames, at most the limit"
    assert spool.take(4) == first, "what isn't done is given again"
    assert spool.done(3) == 3
    large = spool.take(4)
    assert large is not None
    assert list(large.records) == records(4, 5, 6, 7), "a frame above the limit is cut"
    assert spool.done(5) == 2
    assert take_all(spool) == records(6, 7, 8)
    assert spool.take(4) is None
    assert (spool.stats().records, spool.stats().size, spool.stats().oldest) == (0, 0, None)
    assert segments(tmp_path / "out") == [], "nothing stays on disk of what was delivered"


def test_what_was_put_is_there_after_kill(tmp_path: Path, opened: list[Spool]) -> None:
    first = Spool(tmp_path, limit=LIMIT, clock=lambda: 100.0)
    first.put(records(1, 2, 3))
    first.put(records(4, 5))
    first.done(1)
    abandon(first)
    second = Spool(tmp_path, limit=LIMIT, clock=lambda: 200.0)
    opened.append(second)
    assert (second.stats().records, second.stats().oldest) == (4, 100.0)
    second.put(records(6))
    assert take_all(second) == records(2, 3, 4, 5, 6)
    assert second.stats().dropped == NONE_DROPPED


def test_numbers_go_on_after_an_empty_spool(tmp_path: Path) -> None:
    for number in range(3):
        spool = Spool(tmp_path, limit=LIMIT)
        spool.put(records(number))
        assert take_all(spool) == records(number)
        spool.close()
    assert (tmp_path / "position").read_bytes()[:8] == struct.pack("<Q", 3)


def test_beyond_the_limit_the_oldest_go_first(tmp_path: Path, opened: list[Spool]) -> None:
    spool = Spool(tmp_path, limit=16_000)
    opened.append(spool)
    for number in range(100):
        spool.put([b"%04d" % number * 100])
    on_disk = sum(path.stat().st_size for path in segments(tmp_path))
    stats = spool.stats()
    left = take_all(spool)
    assert 14_000 < on_disk <= 16_000
    assert stats.records == len(left)
    assert left == [b"%04d" % number * 100 for number in range(100 - len(left), 100)]
    assert stats.dropped == dropped(overflow=100 - len(left))


def test_beyond_the_limit_of_records_too(tmp_path: Path, opened: list[Spool]) -> None:
    spool = Spool(tmp_path, limit=LIMIT, record_limit=4)
    opened.append(spool)
    for numbers in [(1, 2), (3, 4, 5), (6,)]:
        spool.put(records(*numbers))
    assert take_all(spool) == records(3, 4, 5, 6)
    assert spool.stats().dropped == dropped(overflow=2)


def test_what_is_dropped_while_under_way_is_counted_once(tmp_path: Path, opened: list[Spool]) -> None:
    spool = Spool(tmp_path, limit=LIMIT, record_limit=3)
    opened.append(spool)
    spool.put(records(1, 2))
    batch = spool.take(10)
    assert batch is not None
    spool.put(records(3, 4))
    assert spool.done(batch.number + len(batch.records)) == 0, "they were dropped meanwhile"
    assert spool.stats().dropped == dropped(overflow=2)
    assert take_all(spool) == records(3, 4)


@pytest.mark.parametrize("lost", range(1, 60))
def test_a_torn_tail_costs_the_last_frame_only(tmp_path: Path, opened: list[Spool], lost: int) -> None:
    first = Spool(tmp_path, limit=LIMIT)
    first.put(records(1, 2))
    first.put(records(3, 4))
    abandon(first)
    (path,) = segments(tmp_path)
    os.truncate(path, path.stat().st_size - lost)
    second = Spool(tmp_path, limit=LIMIT)
    opened.append(second)
    second.put(records(5))
    assert take_all(second) == records(1, 2, 5)


def test_a_torn_tail_is_counted_once(tmp_path: Path, opened: list[Spool]) -> None:
    first = Spool(tmp_path, limit=LIMIT)
    first.put(records(1, 2))
    first.put(records(3, 4))
    abandon(first)
    (path,) = segments(tmp_path)
    os.truncate(path, path.stat().st_size - 1)
    for expected in (2, 0):
        again = Spool(tmp_path, limit=LIMIT)
        opened.append(again)
        assert (again.stats().records, again.stats().dropped) == (2, dropped(corrupt=expected))
        abandon(again)


@pytest.mark.parametrize("offset", [0, 5, HEADER_SIZE - 1])
def test_a_damaged_header_costs_its_frame_and_is_counted(tmp_path: Path, opened: list[Spool], offset: int) -> None:
    first = Spool(tmp_path, limit=LIMIT)
    for numbers in [(1, 2), (3, 4, 5), (6,)]:
        first.put(records(*numbers))
    abandon(first)
    (path,) = segments(tmp_path)
    data = bytearray(path.read_bytes())
    data[HEADER_SIZE + unpack_header(bytes(data)).size + offset] ^= 0xFF
    path.write_bytes(data)
    second = Spool(tmp_path, limit=LIMIT)
    opened.append(second)
    assert take_all(second) == records(1, 2, 6)
    assert second.stats().dropped == dropped(corrupt=3)


def test_a_damaged_payload_costs_its_frame_and_is_counted(tmp_path: Path, opened: list[Spool]) -> None:
    first = Spool(tmp_path, limit=LIMIT)
    for numbers in [(1, 2), (3, 4, 5), (6,)]:
        first.put(records(*numbers))
    abandon(first)
    (path,) = segments(tmp_path)
    data = bytearray(path.read_bytes())
    data[HEADER_SIZE + 12] ^= 0xFF
    path.write_bytes(data)
    second = Spool(tmp_path, limit=LIMIT)
    opened.append(second)
    assert take_all(second) == records(3, 4, 5, 6)
    assert second.stats().dropped == dropped(corrupt=2)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x00" * 5000, b"vdb1" * 500])
@pytest.mark.parametrize("name", ["position", "00000000000000000001.seg", "readme.seg", "00000000000000000000.seg"])
def test_garbage_never_keeps_the_spool_from_opening(
    tmp_path: Path, opened: list[Spool], name: str, content: bytes
) -> None:
    first = Spool(tmp_path, limit=LIMIT)
    first.put(records(1, 2))
    abandon(first)
    (tmp_path / name).write_bytes(content)
    second = Spool(tmp_path, limit=LIMIT)
    opened.append(second)
    second.put(records(3))
    assert take_all(second)[-1:] == records(3)


def test_a_folder_has_one_owner(tmp_path: Path, opened: list[Spool]) -> None:
    opened.append(Spool(tmp_path, limit=LIMIT))
    with pytest.raises(VdbmonError, match="another agent uses the spool") as caught:
        Spool(tmp_path, limit=LIMIT)
    assert caught.value.code == "output.spool_held"


def test_without_a_folder_records_wait_in_memory(
    tmp_path: Path, opened: list[Spool], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    spool = Spool(tmp_path / "file" / "spool", limit=LIMIT)
    opened.append(spool)
    spool.put(records(1, 2))
    spool.put(records(3))
    assert take_all(spool) == records(1, 2, 3)
    assert [record.message.count("Not a directory") for record in caplog.records] == [1], "said once"


def test_what_waits_in_memory_at_the_end_is_counted(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    spool = Spool(tmp_path / "file" / "spool", limit=LIMIT)
    spool.put(records(1, 2))
    spool.close()
    assert spool.stats().dropped == dropped(disk=2)


def test_without_descriptors_all_waits_until_there_are_some(tmp_path: Path, opened: list[Spool]) -> None:
    spool = Spool(tmp_path, limit=LIMIT)
    opened.append(spool)
    spool.put(records(1, 2))
    before = open_descriptors()
    with no_more_descriptors():
        assert spool.take(10) is None
        spool.sync()
    spool.sync()
    assert open_descriptors() == before, "what could not be synced before is synced and closed now"
    assert take_all(spool) == records(1, 2)
    assert spool.stats().dropped == NONE_DROPPED


def test_after_closing_nothing_is_done(tmp_path: Path) -> None:
    spool = Spool(tmp_path, limit=LIMIT)
    spool.put(records(1))
    spool.close()
    spool.put(records(2))
    assert spool.take(10) is None
    assert spool.done(1) == 0


def test_syncing_leaves_no_descriptor_open(tmp_path: Path, opened: list[Spool]) -> None:
    spool = Spool(tmp_path, limit=16 * 1024)
    opened.append(spool)
    before = open_descriptors()
    for number in range(12):
        spool.put([b"%d" % number * 500])
        spool.sync()
    assert len(segments(tmp_path)) > 5
    assert open_descriptors() <= before + 1
    take_all(spool)
    assert open_descriptors() == before


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=20), st.integers(0, 2**40), st.floats(0, 2e9))
def test_a_frame_comes_back_as_it_was(given_records: list[bytes], number: int, time: float) -> None:
    header, data = pack(number, time, given_records)
    assert unpack_header(data) == header
    assert (header.number, header.time, header.count) == (number, time, len(given_records))
    assert unpack_records(header, data[HEADER_SIZE:]) == given_records


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=4), st.data())
def test_no_changed_byte_goes_unseen(given_records: list[bytes], data: st.DataObject) -> None:
    _header, frame = pack(7, 1.0, given_records)
    position = data.draw(st.integers(0, len(frame) - 1))
    damaged = bytearray(frame)
    damaged[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DamagedFrameError):
        unpack_records(unpack_header(bytes(damaged)), bytes(damaged[HEADER_SIZE:]))


STEPS = st.one_of(
    st.tuples(st.just("put"), st.integers(1, 5)),
    st.tuples(st.just("deliver"), st.integers(1, 7)),
    st.tuples(st.just("kill"), st.just(0)),
    st.tuples(st.just("sync"), st.just(0)),
)


@given(st.lists(STEPS, max_size=30))
def test_nothing_that_was_put_is_lost_or_out_of_order(
    tmp_path_factory: pytest.TempPathFactory, steps: Sequence[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder, limit=16 * 200)
    put, delivered = 0, list[bytes]()
    for step, size in steps:
        if step == "put":
            spool.put(records(*range(put, put + size)))
            put += size
        elif step == "sync":
            spool.sync()
        elif step == "kill":
            abandon(spool)
            spool = Spool(folder, limit=16 * 200)
        elif batch := spool.take(size):
            delivered += batch.records
            spool.done(batch.number + len(batch.records))
        stats = spool.stats()
        assert len(delivered) + stats.records == put
        assert stats.dropped == NONE_DROPPED
    delivered += take_all(spool)
    spool.close()
    assert delivered == records(*range(put))
