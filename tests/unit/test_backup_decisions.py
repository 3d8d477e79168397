import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import VdbmonError
from orchestrator.backup.decisions import FILE_NAME, Decisions, decisions_of, read_decisions
from orchestrator.backup.volume_contents import look_into, write_decisions
from tests.support.backups import DAY, backup

KEPT = Decisions(backup_id="f1", decided_at=5.0, keep_why="the audit", keep_until=9.0)

times = st.floats(min_value=0, max_value=1e10)
texts = st.none() | st.text(max_size=50)


@given(
    st.builds(
        Decisions,
        backup_id=st.text(max_size=50),
        decided_at=times,
        damage=texts,
        verified_at=st.none() | times,
        verified_by=texts,
        keep_why=texts,
        keep_until=st.none() | times,
    )
)
def test_what_is_written_is_read(decisions: Decisions) -> None:
    assert read_decisions(decisions.to_json()) == decisions


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", KEPT.to_json()[:-4], KEPT.to_json().replace('"format": 1', '"format": 2'), "[" * 10_000],
    ids=["empty", "list", "object", "null", "cut", "format", "deep"],
)
def test_what_is_no_such_file_is_none(text: str) -> None:
    assert read_decisions(text) is None


@given(st.text(max_size=200))
def test_no_text_raises(text: str) -> None:
    read_decisions(text)


def test_nothing_stands_beside_a_backup_about_which_nothing_was_decided() -> None:
    assert decisions_of(backup("f1", DAY)) is None
    kept = backup("f1", DAY, keep_why="the audit", keep_until=9.0, decided_at=5.0)
    assert decisions_of(kept) == KEPT


def test_the_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    for text in ("first", "second"):
        write_decisions(tmp_path, text)
        assert look_into(tmp_path).decisions == text
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_what_a_container_left_in_the_way_is_not_followed(tmp_path: Path) -> None:
    volume, outside = tmp_path / "volume", tmp_path / "outside"
    volume.mkdir()
    outside.write_text("secret")
    for name in (FILE_NAME, f".{FILE_NAME}.new"):
        (volume / name).symlink_to(outside)
    assert look_into(volume).decisions is None
    write_decisions(volume, "ours")
    assert (outside.read_text(), look_into(volume).decisions) == ("secret", "ours")


def test_a_pipe_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / FILE_NAME)
    os.mkfifo(tmp_path / f".{FILE_NAME}.new")
    assert look_into(tmp_path).decisions is None
    write_decisions(tmp_path, "ours")
    assert look_into(tmp_path).decisions == "ours"


@pytest.mark.parametrize("name", [FILE_NAME, f".{FILE_NAME}.new"])
def test_a_folder_in_the_way_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / name / "full").mkdir(parents=True)
    with pytest.raises(VdbmonError, match="Is a directory") as caught:
        write_decisions(tmp_path, "ours")
    assert caught.value.code == "volume.unwritable"
