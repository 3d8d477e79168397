from pathlib import Path

import pytest

from collector.outputs.file import FileOutput
from collector.outputs.settings import FileSettings
from collector.outputs.sink import OutputError
from tests.support.limits import files_end_at


def test_a_disk_that_is_full_gets_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    output = FileOutput(FileSettings(files=(str(path),)))
    output.write([b"first"])
    with files_end_at(10), pytest.raises(OutputError, match="File too large") as caught:
        output.write([b"second", b"third"])
    assert caught.value.retryable
    assert path.read_bytes() == b"first\n"
    output.write([b"second", b"third"])
    assert path.read_bytes() == b"first\nsecond\nthird\n"
