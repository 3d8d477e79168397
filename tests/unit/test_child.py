import os
import resource
from pathlib import Path

from collector.child import ChildPool

ECHO = """
import sys
while length := sys.stdin.buffer.read(4):
    sys.stdout.buffer.write(length + sys.stdin.buffer.read(int.from_bytes(length, "big")))
    sys.stdout.buffer.flush()
"""


def test_a_child_is_heard_beyond_the_descriptors_that_select_knows(tmp_path: Path) -> None:
    program = tmp_path / "echo.py"
    program.write_text(ECHO)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 1100
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(1030)]
    pool = ChildPool(program, deadline=10.0, limit=1)
    try:
        assert pool.ask("key", b"question") == b"question"
    finally:
        pool.close()
        for descriptor in taken:
            os.close(descriptor)
