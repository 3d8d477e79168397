from pathlib import Path

import pytest

from collector import diskusage
from collector.diskusage import DiskUsage
from tests.support.wait import wait_until

PATIENCE = 15.0


def make(tmp_path: Path, *names: str) -> dict[tuple[str, ...], list[str]]:
    for number, name in enumerate(names):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(bytes(100_000 * (number + 1)))
    return {(name,): [str(tmp_path / name)] for name in names}


def test_patterns_name_container_and_destination() -> None:
    usage = DiskUsage(["dr-*:/backup", "web:/"], every=600, budget=1)
    wanted = [("dr-1", "/backup"), ("dr-1", "/data"), ("web", "/"), ("web2", "/")]
    assert [usage.wanted(*each) for each in wanted] == [True, False, True, False]
    assert not DiskUsage([], every=600, budget=1).wanted("web", "/")


def test_links_and_other_filesystems_are_not_followed(tmp_path: Path) -> None:
    folders = make(tmp_path, "a")
    (tmp_path / "a" / "link").symlink_to("/usr")
    (tmp_path / "a" / "-rf").mkdir()
    usage = DiskUsage(["*"], every=600, budget=PATIENCE, clock=lambda: 7.0)
    usage.measure(folders)
    found = wait_until(lambda: usage.measure(folders), deadline=PATIENCE, what="a figure")
    assert 100_000 <= found["a",].size < 200_000
    assert (found["a",].at, usage.failures) == (7.0, 0)
    assert usage.measure({}) == {}


def test_a_folder_that_fails_costs_only_itself(tmp_path: Path) -> None:
    folders = {("gone",): [str(tmp_path / "gone")], **make(tmp_path, "a")}
    usage = DiskUsage(["*"], every=600, budget=PATIENCE)
    usage.measure(folders)
    assert wait_until(lambda: usage.measure(folders), deadline=PATIENCE, what="a figure").keys() == {("a",)}
    assert usage.failures == 1


def test_what_the_budget_did_not_reach_comes_first_in_the_next_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    # Stands for a du that takes most of a round's budget.
    monkeypatch.setattr(diskusage, "_DU", ("sh", "-c", f"echo $0 >>{seen}; sleep 0.35; echo '1\t'$0"))
    usage = DiskUsage(["*"], every=0.0, budget=0.5)
    folders: dict[tuple[str, ...], list[str]] = {(name,): [name] for name in "abc"}
    found = wait_until(
        lambda: found if len(found := usage.measure(folders)) == 3 else None,
        deadline=PATIENCE,
        what="all three",
    )
    assert found.keys() == folders.keys()
    assert usage.failures > 0
