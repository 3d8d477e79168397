"""How the runner of the backup image moves bytes: direct I/O, and the pipeline of its programs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.backup.runner.directio import BLOCK_BYTES, DirectWriter
from orchestrator.backup.runner.pipeline import PipelineError, run_pipeline

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


def test_pipeline_counts_both_ends(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    stream = run_pipeline(
        ["head", "-c", "5000000", "/dev/zero"],
        ["sh", "-c", "cat >/dev/null; echo compressed"],
        output=tmp_path / "out",
        log=tmp_path / "log",
        progress=lambda raw, stored: seen.append((raw, stored)),
    )
    assert (tmp_path / "out").read_bytes() == b"compressed\n"
    assert (stream.bytes_raw, stream.bytes_stored) == (5000000, 11)
    assert seen[-1] == (5000000, 11)
    assert stream.sha256 == hashlib.sha256(b"compressed\n").hexdigest()


@pytest.mark.parametrize(
    ("producer", "compressor", "complaint"),
    [
        (["sh", "-c", "echo data; echo no server >&2; exit 3"], ["cat"], "sh failed with exit status 3: no server"),
        (["cat", "/dev/zero"], ["sh", "-c", "echo disk gone >&2; exit 1"], "sh failed with exit status 1: disk gone"),
        (["sh", "-c", "kill -9 $$"], ["cat"], "sh was killed by signal 9: no message"),
        (["cat", "/dev/zero"], ["sh", "-c", "exit 0"], "cat was killed by signal 13: no message"),
        (["no-such-program"], ["cat"], "no-such-program can't be started: No such file or directory"),
        (["cat", "/dev/zero"], ["no-such-program"], "no-such-program can't be started: No such file or directory"),
    ],
)
def test_pipeline_names_who_failed(tmp_path: Path, producer: list[str], compressor: list[str], complaint: str) -> None:
    with pytest.raises(PipelineError) as caught:
        run_pipeline(
            producer, compressor, output=tmp_path / "out", log=tmp_path / "log", progress=lambda _raw, _stored: None
        )
    assert str(caught.value) == complaint
