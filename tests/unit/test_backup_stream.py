"""How the runner of the backup image moves bytes: direct I/O, its programs' pipes, the wire from a source."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.backup.runner.directio import BLOCK_BYTES, DirectWriter
from orchestrator.backup.runner.errors import Code, JobFailedError
from orchestrator.backup.runner.frames import FrameWriter, parse_request, read_frames, request_line
from orchestrator.backup.runner.jobs import BackupRequest, TableDetail
from orchestrator.backup.runner.mariadb_backup import Produced
from orchestrator.backup.runner.pipeline import FirstProgram, feed, join, produce
from orchestrator.backup.runner.relay import CHUNK_BYTES, Relay
from tests.support.wait import wait_until

BOUNDARIES = [
    0,
    1,
    4095,
    4096,
    4097,
    BLOCK_BYTES - 1,
    BLOCK_BYTES,
    BLOCK_BYTES + 1,
    2 * BLOCK_BYTES,
    3 * BLOCK_BYTES + 5,
]


@given(size=st.sampled_from(BOUNDARIES) | st.integers(0, 3 * BLOCK_BYTES), chunk=st.integers(1, 2 * BLOCK_BYTES))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_direct_writer_writes_and_hashes_every_byte(tmp_path: Path, size: int, chunk: int) -> None:
    path = tmp_path / "stream"
    path.unlink(missing_ok=True)
    chunk = max(chunk, size // 64)  # not millions of single bytes
    content = bytes(i % 251 for i in range(4096)) * (size // 4096 + 1)
    content = content[:size]
    with DirectWriter(path) as writer:
        for start in range(0, size, chunk):
            writer.write(content[start : start + chunk])
        digest = writer.finish()
    assert writer.bytes_written == size
    assert path.read_bytes() == content
    assert digest == hashlib.sha256(content).hexdigest()


def test_direct_writer_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "stream").write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        DirectWriter(tmp_path / "stream")
    assert (tmp_path / "stream").read_bytes() == b"precious"


def run(commands: Sequence[Sequence[str]], sink: Callable[[bytes], object] = lambda _: None) -> int:
    return produce(commands, sink, progress=lambda _: None)


def test_what_comes_out_is_given_and_what_went_in_is_counted() -> None:
    got: list[bytes] = []
    seen: list[int] = []
    commands = (["head", "-c", "5000000", "/dev/zero"], ["sh", "-c", "cat >/dev/null; echo compressed"], ["cat"])
    raw = produce(commands, got.append, progress=seen.append)
    assert (b"".join(got), raw, seen[-1]) == (b"compressed\n", 5000000, 5000000)


def test_messages_of_the_first_program_come_line_by_line() -> None:
    lines: list[str] = []
    commands = (["sh", "-c", "echo one >&2; echo two >&2"], ["cat"])
    produce(commands, lambda _: None, progress=lambda _: None, on_line=lines.append)
    assert lines == ["one", "two"]


@pytest.mark.parametrize(
    ("commands", "complaint"),
    [
        ((["sh", "-c", "echo data; echo no server >&2; exit 3"], ["cat"]), "sh failed with exit status 3: no server"),
        ((["cat", "/dev/zero"], ["sh", "-c", "echo disk gone >&2; exit 1"]), "sh failed with exit status 1: disk gone"),
        ((["cat", "/dev/zero"], ["cat"], ["sh", "-c", "exit 4"]), "sh failed with exit status 4: no message"),
        ((["sh", "-c", "kill -9 $$"], ["cat"]), "sh was killed by signal 9: no message"),
        ((["cat", "/dev/zero"], ["sh", "-c", "exit 0"]), "cat was killed by signal 13: no message"),
        ((["no-such-program"], ["cat"]), "no-such-program can't be started: No such file or directory"),
        ((["cat", "/dev/zero"], ["no-such-program"]), "no-such-program can't be started: No such file or directory"),
    ],
    ids=range(7),
)
def test_it_is_named_who_failed(commands: tuple[list[str], ...], complaint: str) -> None:
    with pytest.raises(JobFailedError) as caught:
        run(commands)
    assert str(caught.value) == complaint


def test_a_program_that_must_not_wait_is_relieved_of_its_output(tmp_path: Path) -> None:
    """The reader takes nothing before the writer, whose output no pipe holds, is done."""
    size, done = 5_000_000, tmp_path / "done"
    writer = ["sh", "-c", f"echo now >&2; head -c {size} /dev/zero; touch {done}"]
    reader = ["sh", "-c", f"until [ -e {done} ]; do sleep 0.01; done; exec cat"]
    got: list[bytes] = []
    tools: list[FirstProgram] = []
    raw = produce(
        (writer, reader),
        got.append,
        progress=lambda _: None,
        on_start=tools.append,
        on_line=lambda _line: tools[0].absorb(),
    )
    assert raw == size == sum(map(len, got))


def test_what_is_absorbed_has_a_limit() -> None:
    (out, end), (begin, sink) = os.pipe(), os.pipe()
    relay = Relay(os.fdopen(out, "rb"), os.fdopen(sink, "wb"), absorbed_bytes=300_000)
    relay.absorb()
    relay.start()
    os.set_blocking(end, False)
    content = bytes(range(256)) * 10_000
    taken = 0

    def fill() -> bool:
        """Whether nothing more is taken, for as long as nobody reads."""
        nonlocal taken
        before = taken
        with contextlib.suppress(BlockingIOError):
            taken += os.write(end, content[taken : taken + 65536])
        return taken == before and relay.bytes_moved >= 300_000

    wait_until(fill, deadline=10, what="the limit is reached")
    assert taken < 300_000 + 2 * CHUNK_BYTES
    os.set_blocking(end, True)
    with ThreadPoolExecutor(1) as pool, os.fdopen(begin, "rb") as reader:
        everything = pool.submit(reader.read)
        with os.fdopen(end, "wb") as writer:
            writer.write(content[taken:])
        assert everything.result(20) == content
    relay.finish()


def test_a_sink_that_fails_ends_the_programs() -> None:
    def full(_data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        run((["cat", "/dev/zero"], ["cat"]), full)


def test_a_file_is_fed_whole_and_hashed(tmp_path: Path) -> None:
    path, copy = tmp_path / "in", tmp_path / "out"
    path.write_bytes(bytes(range(256)) * 20_000)
    fed = feed(path, (["cat"], ["sh", "-c", f"cat >{copy}"]), progress=lambda _: None)
    assert (fed.failure, copy.read_bytes()) == (None, path.read_bytes())
    assert fed.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("commands", "complaint"),
    [
        (
            (["sh", "-c", "echo no key >&2; exit 1"], ["sh", "-c", "cat; exit 7"]),
            "sh failed with exit status 1: no key",
        ),
        ((["cat"], ["sh", "-c", "echo bad data >&2; exit 2"]), "sh failed with exit status 2: bad data"),
    ],
    ids=["first", "last"],
)
def test_a_failed_reader_is_named_and_the_rest_is_hashed_all_the_same(
    commands: tuple[list[str], ...], complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "in"
    path.write_bytes(bytes(5_000_000))
    fed = feed(path, commands, progress=lambda _: None)
    assert str(fed.failure) == complaint
    assert fed.sha256 == hashlib.sha256(bytes(5_000_000)).hexdigest()


def test_joined_programs_end_together() -> None:
    join((["echo", "x"], ["grep", "-q", "x"]))
    with pytest.raises(JobFailedError, match="grep failed with exit status 1"):
        join((["echo", "x"], ["grep", "-q", "y"]))


PRODUCED = Produced(
    bytes_raw=9, files={"backup.log": "completed OK!\n"}, tables=2, lock_seconds=0.5, tools={"zstd": "1.5.4"}
)


def sent(*parts: bytes, produced: Produced = PRODUCED) -> bytes:
    wire: list[bytes] = []
    frames = FrameWriter(wire.append)
    for part in parts:
        frames.data(part)
        frames.progress(len(part), None)
    frames.end(produced)
    return b"".join(wire)


@dataclass
class Heard:
    """What a source tells, in order."""

    told: list[object] = field(default_factory=list)

    def progress(self, raw: int, expected: int | None, /) -> None:
        self.told.append((raw, expected))

    def say(self, text: str, /) -> None:
        self.told.append(text)

    def copied(self) -> None:
        self.told.append("copied")


def receive(wire: bytes, heard: Heard | None = None) -> tuple[bytes, Produced]:
    stream = io.BytesIO(wire)
    got: list[bytes] = []

    def read(count: int) -> bytes:
        data = stream.read(count)
        if len(data) < count:
            raise JobFailedError(Code.SOURCE_LOST, "the source broke off")
        return data

    produced = read_frames(read, data=got.append, hear=heard or Heard())
    return b"".join(got), produced


@given(st.lists(st.binary(max_size=100), max_size=5))
def test_frames_come_as_they_were_sent(parts: list[bytes]) -> None:
    assert receive(sent(*parts)) == (b"".join(parts), PRODUCED)


@given(st.lists(st.binary(max_size=100), max_size=5), st.data())
def test_a_stream_that_breaks_anywhere_is_never_whole(parts: list[bytes], data: st.DataObject) -> None:
    wire = sent(*parts)
    with pytest.raises(JobFailedError):
        receive(wire[: data.draw(st.integers(0, len(wire) - 1))])


@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused(wire: bytes) -> None:
    with pytest.raises(JobFailedError):
        receive(wire)


def test_what_the_source_tells_on_the_way_is_heard_in_order() -> None:
    wire: list[bytes] = []
    frames, heard = FrameWriter(wire.append), Heard()
    frames.say("waiting\nfor its turn")
    frames.progress(7, None)
    frames.copied()
    frames.end(PRODUCED)
    receive(b"".join(wire), heard)
    assert heard.told == ["waiting for its turn", (7, None), "copied"]


def test_a_failure_at_the_source_keeps_its_code_and_remedy() -> None:
    wire: list[bytes] = []
    FrameWriter(wire.append).failed(JobFailedError(Code.SOURCE_DENIED, "Access denied", "ask its keeper"))
    with pytest.raises(JobFailedError) as caught:
        receive(b"".join(wire))
    assert caught.value.code is Code.SOURCE_DENIED
    assert caught.value.reason == "at the source: Access denied; ask its keeper"


def test_a_request_survives_its_line() -> None:
    request = BackupRequest(from_lsn=7, recipients=("age1x",), throttle=3, table_detail=TableDetail.ROWS)
    assert parse_request(request_line(request)) == request


@pytest.mark.parametrize("line", [b"", b"{}\n", b"id\n", request_line(BackupRequest())[:-1], b'{"version": 9}\n'])
def test_a_line_that_is_no_request_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_request(line)
