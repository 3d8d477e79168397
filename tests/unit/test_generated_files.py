from pathlib import Path

import pytest

from collector.errors import VdbmonError
from tests.support.limits import files_end_at
from vdbmon.generated_files import write_if_changed


def test_a_file_is_replaced_only_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    assert write_if_changed(path, "one", mode=0o600)
    inode = path.stat().st_ino
    assert not write_if_changed(path, "one")
    assert path.stat().st_ino == inode
    assert path.stat().st_mode & 0o777 == 0o600
    assert write_if_changed(path, "two")
    assert path.read_text() == "two"


def test_a_disk_that_is_full_leaves_the_old_file_and_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_if_changed(path, "one")
    with files_end_at(3), pytest.raises(VdbmonError, match=f"can't write {path}: File too large; check"):
        write_if_changed(path, "a longer one")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "one")]
