"""How the runner of the backup image moves bytes: direct I/O, its programs' pipes, the wire from a source."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.backup.runner.directio import BLOCK_BYTES, DirectWriter
from orchestrator.backup.runner.errors import Code, JobFailedError
from orchestrator.backup.runner.frames import FrameWriter, parse_request, read_frames, request_line
from orchestrator.backup.runner.jobs import BackupRequest, TableDetail
from orchestrator.backup.runner.mariadb_backup import Produced
from orchestrator.backup.runner.pipeline import feed, join, produce

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


def receive(wire: bytes) -> tuple[bytes, Produced]:
    stream = io.BytesIO(wire)
    got: list[bytes] = []

    def read(count: int) -> bytes:
        data = stream.read(count)
        if len(data) < count:
            raise JobFailedError(Code.SOURCE_LOST, "the source broke off")
        return data

    produced = read_frames(read, data=got.append, progress=lambda _raw, _expected: None)
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


def test_a_failure_at_the_source_keeps_its_code() -> None:
    wire: list[bytes] = []
    FrameWriter(wire.append).failed(JobFailedError(Code.SOURCE_DENIED, "Access denied"))
    with pytest.raises(JobFailedError, match="at the source: Access denied") as caught:
        receive(b"".join(wire))
    assert caught.value.code is Code.SOURCE_DENIED


def test_a_request_survives_its_line() -> None:
    request = BackupRequest(from_lsn=7, recipients=("age1x",), throttle=3, table_detail=TableDetail.ROWS)
    assert parse_request(request_line(request)) == request


@pytest.mark.parametrize("line", [b"", b"{}\n", b"id\n", request_line(BackupRequest())[:-1], b'{"version": 9}\n'])
def test_a_line_that_is_no_request_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_request(line)
